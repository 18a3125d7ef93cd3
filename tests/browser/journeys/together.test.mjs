// Two desks over one incident, with the keyboard alone: a service is asked and answers, two incidents
// become one, and whoever reported the second sees the steps of the first.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findings, launch, person, picture, sizes } from "../browser.mjs";
import { enterDesk, joinAs, startFederation } from "../federation.mjs";

let browser;
let federation;
before(async () => {
  browser = await launch();
  federation = await startFederation();
});
after(async () => {
  await browser?.close();
  await federation?.stop();
});

// More than 1.2 km from any other commune.
const middle = { lat: -33.502786, lon: -70.65251 };

// A neighbour who reports something, with their browser still open.
async function reporter(kind, text, name) {
  const context = await person(browser, { baseURL: federation.url("san-miguel") });
  const page = await context.newPage();
  await joinAs(page, federation, "san-miguel", { name, address: `Calle de ${name} 1` });
  const alert = Array.from({ length: 64 }, () => Math.floor(Math.random() * 16).toString(16)).join("");
  const answer = await page.request.post("/api/v1/alerts", {
    data: { alert, kind, text, point: middle },
    headers: { origin: federation.url("san-miguel"), "sec-fetch-site": "same-origin" },
  });
  assert.equal(answer.status(), 201, await answer.text());
  return { id: (await answer.json()).id, page, context };
}

async function desk(town, size = sizes[1]) {
  const context = await person(browser, { size, baseURL: federation.url(town) });
  const page = await context.newPage();
  await enterDesk(page, federation, town);
  return { page, context };
}

async function open(page, town, id) {
  await page.goto(`${federation.url(town)}/console/incidents/${id}`);
  await page.waitForSelector(`article[data-incident="${id}"] [data-form="note"]`);
}

const detail = async (page, id) => (await page.request.get(`/api/v1/incidents/${id}`)).json();

// Presses a key of the console and then Enter in the form that it opened.
async function send(page, key, form) {
  await page.keyboard.press(key);
  await page.waitForFunction((name) => document.activeElement?.closest(`[data-form="${name}"]`), form);
  await page.keyboard.press("Enter");
}

test("a brigade is asked, rings and answers with the keyboard alone", async () => {
  const { id, context: home } = await reporter("fire", "Humo en el techo", "Rosa");
  const town = await desk("san-miguel");
  await open(town.page, "san-miguel", id);
  await town.page.keyboard.press("f");
  await town.page.waitForFunction(() => document.activeElement?.closest('[data-form="refer"]'));
  // To the second field, and there the node of the brigade.
  await town.page.keyboard.press("Tab");
  await town.page.keyboard.press("ArrowDown");
  await town.page.keyboard.press("Enter");
  await town.page.waitForSelector(".related .flag.strong");
  assert.deepEqual(await findings(town.page), []);
  await picture(town.page, "referred");
  assert.equal((await detail(town.page, id)).referrals[0].node.name, "Bomberos");

  const brigade = await desk("brigade");
  await brigade.page.goto(`${federation.url("brigade")}/console`);
  await brigade.page.waitForSelector(`a.ringing[href$="${id}"]`);
  await open(brigade.page, "brigade", id);
  await brigade.page.keyboard.press("y");
  await town.page.waitForFunction(
    () => [...document.querySelectorAll(".related")].some((part) => part.textContent.includes("aceptada")),
    undefined,
    { timeout: 15_000 },
  );
  assert.equal((await detail(town.page, id)).incident.ours, true);
  await picture(brigade.page, "answered");
  for (const { context } of [town, brigade, { context: home }]) await context.close();
});

test("two incidents become one with the keyboard alone, and both reporters see the steps", async () => {
  const first = await reporter("robbery", "Dos hombres con cuchillo", "Ana");
  const second = await reporter("assault", "Están peleando en la esquina", "Luis");
  const town = await desk("san-miguel");
  await open(town.page, "san-miguel", second.id);
  await send(town.page, "u", "link");
  await town.page.waitForSelector(".detail .note");
  const shown = await detail(town.page, second.id);
  assert.equal(shown.merged.id, first.id, "the suggested one was the other robbery");
  await town.page.waitForFunction(
    (gone) => !document.querySelector(`.queue a[href$="${gone}"]:not([aria-current])`),
    second.id,
  );
  assert.deepEqual(await findings(town.page), []);
  await picture(town.page, "merged");
  await open(town.page, "san-miguel", first.id);
  await town.page.keyboard.press("2");
  await second.page.goto(`${federation.url("san-miguel")}/alerts/${second.id}`);
  await second.page.waitForSelector(".status-on_the_way");
  await picture(second.page, "alert-merged");
  assert.deepEqual(await findings(second.page), []);

  await open(town.page, "san-miguel", second.id);
  await town.page.keyboard.press("v");
  await town.page.waitForFunction(() => !document.querySelector(".detail .note"));
  assert.equal((await detail(town.page, second.id)).merged, null);
  for (const { context } of [town, first, second]) await context.close();
});

test("what is done less often is free of serious findings at every size, and works without JavaScript", async () => {
  const { id, context: home } = await reporter("noise", "Música fuerte", "Elena");
  for (const size of sizes) {
    const town = await desk("san-miguel", size);
    await open(town.page, "san-miguel", id);
    await town.page.click(".correct > summary");
    assert.deepEqual(await findings(town.page), [], `the incident at ${size.name}`);
    await picture(town.page, "correct");
    await town.page.goto(`${federation.url("san-miguel")}/console/incidents/${id}/more`);
    assert.deepEqual(await findings(town.page), [], `more at ${size.name}`);
    await picture(town.page, "more");
    await town.context.close();
  }
  const code = await federation.operatorCode("san-miguel");
  const context = await person(browser, {
    size: sizes[1],
    baseURL: federation.url("san-miguel"),
    script: false,
  });
  const page = await context.newPage();
  await page.goto(`/enter?code=${code}`);
  await page.click('form[action="/enter"] button');
  await page.goto(`/console/incidents/${id}`);
  await page.click(".correct > summary");
  await page.selectOption('form[action$="/acts/kind"] select[name="kind"]', "suspicious");
  await page.click('form[action$="/acts/kind"] button');
  await page.waitForSelector(".incident-title");
  assert.equal((await detail(page, id)).incident.kind, "suspicious");
  await context.close();
  await home.close();
});
