// The desk of a precinct and of the country: what everybody is told, and what becomes of a lost node.
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

async function operator(town, options = {}) {
  const context = await person(browser, { script: false, baseURL: federation.url(town), ...options });
  const page = await context.newPage();
  if (!options.script) withoutScript.add(page);
  await enterDesk(page, federation, town);
  return page;
}

// The page in two sizes, and what axe says of it where scripts run.
async function look(page, name) {
  for (const size of sizes.slice(0, 2)) {
    await page.setViewportSize({ width: size.width, height: size.height });
    await picture(page, name);
  }
  if (!withoutScript.has(page)) assert.deepEqual(await findings(page), [], name);
}

const withoutScript = new WeakSet();

// Asks the node until what it answers holds; a frame apart.
async function until(page, path, holds) {
  const ends = Date.now() + 60_000;
  while (Date.now() < ends) {
    const answer = await page.request.get(path);
    if (answer.ok() && holds(await answer.json())) return;
    await page.evaluate(() => new Promise((next) => requestAnimationFrame(next)));
  }
  throw new Error(`${path} did not become what it should`);
}

// Drafts by the forms alone; gives the address of the draft.
async function draft(page, kind, headline) {
  await page.goto("/notices");
  await page.click(`a[href="/notices/${kind}"]`);
  await page.fill('input[name="headline"]', headline);
  await page.fill('textarea[name="text"]', "Suba a pie a los cerros. No use el auto.");
  await page.selectOption('select[name="urgency"]', "emergency");
  await page.selectOption('select[name="hours"]', "3");
  await look(page, `notice-${kind}`);
  await page.click('form[action="/notices"] button');
  await page.waitForURL(/\/notices\/drafts\/\d+$/);
  assert.equal(await page.locator("[data-approve]").count(), 0, "whoever wrote it cannot send it");
  return page.url();
}

async function send(page, address, name) {
  await page.goto(address);
  await look(page, `notice-${name}-preview`);
  await page.check('[data-approve] input[name="confirmed"]');
  await page.click("[data-approve] button");
  await page.waitForURL(/\/notices\/[0-9a-f]{64}$/);
  await look(page, `notice-${name}-sent`);
}

test("two people tell the country without JavaScript, and a neighbour is told live", async () => {
  const context = await person(browser, { baseURL: federation.url("san-miguel") });
  const rosa = await context.newPage();
  await joinAs(rosa, federation, "san-miguel", { name: "Rosa", address: "Gran Avenida 5120" });
  assert.equal(await rosa.locator("#notices .notice").count(), 0);
  const marta = await operator("national");
  const juan = await operator("national");

  const drill = await draft(marta, "drill", "Ejercicio nacional de evacuación");
  await send(juan, drill, "drill");
  await rosa.waitForSelector("#notices .notice.is-drill");
  assert.match(await rosa.locator("#notices").innerText(), /SIMULACRO/);
  const [eva, luis] = [await operator("national", { script: true }), await operator("national", { script: true })];
  const real = await draft(eva, "new", "Alerta de tsunami en todo el litoral");
  await send(luis, real, "real");
  await rosa.waitForSelector("#notices .notice.is-alarm");
  await rosa.waitForSelector("#sos .sos-button");
  await look(rosa, "home-told");
  const sos = await rosa.locator("#sos .sos-button").boundingBox();
  await rosa.setViewportSize({ width: 360, height: 740 });
  assert.ok(sos, "the red button is there");
  await rosa.click("#notices .notice.is-alarm");
  await look(rosa, "notice-neighbour");
  assert.match(await rosa.locator("#notice").innerText(), /Suba a pie/);

  // Taken back from the page on which it was sent, by two people again.
  await luis.fill('[data-cancel] input[name="headline"]', "Se descarta el tsunami");
  await luis.click("[data-cancel] button");
  await luis.waitForURL(/\/notices\/drafts\/\d+$/);
  await send(eva, luis.url(), "cancel");
  await rosa.waitForFunction(() => document.getElementById("notice")?.textContent?.includes("Se descarta el tsunami"));
  await eva.goto("/notices");
  await look(eva, "notices");
  await context.close();
});

test("the precinct hands what a lost town has open to its neighbour by forms alone", async () => {
  const context = await person(browser, { baseURL: federation.url("san-miguel") });
  const ana = await context.newPage();
  await joinAs(ana, federation, "san-miguel", { name: "Ana", address: "Llano Subercaseaux 3400" });
  const alert = Array.from({ length: 64 }, () => Math.floor(Math.random() * 16).toString(16)).join("");
  const raised = await ana.request.post("/api/v1/alerts", {
    data: { alert, kind: "robbery", text: "Dos hombres", point: { lat: -33.4982865, lon: -70.641416 } },
    headers: { origin: federation.url("san-miguel"), "sec-fetch-site": "same-origin" },
  });
  assert.equal(raised.status(), 201);
  const { id } = await raised.json();
  const marta = await operator("precinct", { script: true });
  await until(marta, `/api/v1/incidents/${id}`, () => true);
  await context.close();
  await federation.kill("san-miguel");
  await until(marta, "/api/v1/takeovers", ({ lost }) => lost.some((node) => node.name === "San Miguel"));
  await marta.goto("/nodes");
  await marta.click('a[href="/takeovers"]');
  await look(marta, "takeovers");
  await marta.click('[data-lost]:has-text("San Miguel") a.button');
  await look(marta, "lost");
  await marta.selectOption('[data-take-all] select[name="to"]', { label: "San Joaquín · conectado" });
  await marta.fill('[data-take-all] input[name="reason"]', "Sin luz desde las 14:10, confirmado por teléfono");
  await marta.click("[data-take-all] button");
  await marta.waitForURL(/done=1/);
  await look(marta, "lost-offered");
  const luis = await operator("san-joaquin", { script: true });
  await until(luis, "/api/v1/takeovers", ({ offered }) => offered.length > 0);
  await luis.goto("/takeovers");
  await look(luis, "takeovers-offered");
  await luis.click("[data-offered] button.main");
  await luis.waitForURL(/done=1/);
  await until(luis, `/api/v1/incidents/${id}`, ({ incident }) => incident.ours);
  await federation.restart("san-miguel");
});
