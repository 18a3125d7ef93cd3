// The desk: from claim to close with the keyboard alone. And the pages of the precinct and the country.
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

// 200 m inside San Miguel, beside San Joaquín.
const border = { lat: -33.4982865, lon: -70.641416 };

async function raise(town, kind, text, point) {
  const context = await person(browser, { baseURL: federation.url(town) });
  const page = await context.newPage();
  await joinAs(page, federation, town, { name: `Vecina ${kind}`, address: `Calle ${kind} 1` });
  const alert = Array.from({ length: 64 }, () => Math.floor(Math.random() * 16).toString(16)).join("");
  const answer = await page.request.post("/api/v1/alerts", {
    data: { alert, kind, text, point },
    headers: { origin: federation.url(town), "sec-fetch-site": "same-origin" },
  });
  assert.equal(answer.status(), 201, await answer.text());
  const { id } = await answer.json();
  await context.close();
  return id;
}

// Presses Tab until what has the focus fits, as somebody without a mouse would.
async function tabTo(page, selector) {
  for (let steps = 0; steps < 200; steps += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
  }
  throw new Error(`the keyboard does not reach ${selector}`);
}

test("an incident goes from ringing to closed with the keyboard alone", async () => {
  const id = await raise("san-miguel", "robbery", "Dos hombres con cuchillo", border);
  const context = await person(browser, { size: sizes[1], baseURL: federation.url("san-miguel") });
  const page = await context.newPage();
  await enterDesk(page, federation, "san-miguel");
  await page.goto(`${federation.url("san-miguel")}/console`);
  await page.waitForSelector(`a[href$="${id}"]`);
  assert.deepEqual(await findings(page), []);
  await picture(page, "console");
  const status = async () => (await (await page.request.get(`/api/v1/incidents/${id}`)).json()).incident;

  await tabTo(page, `a[href$="${id}"]`);
  await page.keyboard.press("Enter");
  await page.waitForFunction((wanted) => document.querySelector(".detail")?.innerHTML.includes(wanted), id);
  const press = async (selector, wanted) => {
    await tabTo(page, selector);
    await page.keyboard.press("Enter");
    await page.waitForFunction(
      async ([incident, value]) => {
        const answer = await fetch(`/api/v1/incidents/${incident}`);
        const { incident: row } = await answer.json();
        return row.status === value || (value === "claimed" && row.claimed_by);
      },
      [id, wanted],
    );
  };
  await press('form[action$="/claim"] button, [data-do="claim"]', "claimed");
  await press('form[action$="/steps"] input[value="called"] + button, [data-do="step:called"]', "called");
  await press('form[action$="/steps"] input[value="resolved"] + button, [data-do="step:resolved"]', "resolved");
  await press('form[action$="/close"] button, [data-do="close"]', "closed");
  assert.equal((await status()).status, "closed");
  await picture(page, "console-closed");
  await context.close();
});

test("the keys of the console are listed when ? is pressed", async () => {
  const context = await person(browser, { size: sizes[1] });
  const page = await context.newPage();
  await enterDesk(page, federation, "san-miguel");
  await page.goto(`${federation.url("san-miguel")}/console`);
  await page.waitForSelector("#console");
  await page.keyboard.press("?");
  await page.waitForSelector("dialog[open]");
  assert.deepEqual(await findings(page), []);
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog[open]", { state: "detached" }).catch(async () => {
    assert.equal(await page.locator("dialog[open]").count(), 0, "Escape does not close the list of keys");
  });
  await context.close();
});

test("the country page shows a new incident without being reloaded, at every size", async () => {
  for (const size of sizes) {
    const context = await person(browser, { size });
    const page = await context.newPage();
    await page.goto(`${federation.url("national")}/country`);
    await page.waitForSelector("#figures");
    const id = await raise("san-miguel", "fire", `Humo ${size.name}`, border);
    await page.waitForSelector(`#i-${id}`, { timeout: 30_000 });
    assert.deepEqual(await findings(page), [], size.name);
    await picture(page, "country");
    for (const path of ["/coverage"]) {
      await page.goto(federation.url("national") + path);
      assert.deepEqual(await findings(page), [], `${path} at ${size.name}`);
      await picture(page, "coverage");
    }
    await context.close();
  }
});

test("every page of the desk is free of serious findings at every size", async () => {
  for (const size of sizes) {
    const context = await person(browser, { size });
    const page = await context.newPage();
    await enterDesk(page, federation, "san-joaquin");
    for (const [path, name] of [
      ["/console", "console"],
      ["/console/call", "call"],
      ["/coverage", "coverage"],
      ["/nodes", "nodes"],
    ]) {
      const answer = await page.goto(federation.url("san-joaquin") + path);
      assert.equal(answer.status(), 200, path);
      assert.deepEqual(await findings(page), [], `${path} at ${size.name}`);
      await picture(page, `desk-${name}`);
    }
    await context.close();
  }
});
