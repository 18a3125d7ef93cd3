// A neighbour with a phone: joins, asks for help, sees what happens; with JavaScript and without, and
// with a node that is away for a while.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
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

// Permission for the phone's position, in the middle of San Miguel.
const located = {
  permissions: ["geolocation"],
  geolocation: { latitude: -33.502786, longitude: -70.65251, accuracy: 15 },
};

// Presses the button as a thumb would, until `done` is there.
async function press(page, done) {
  const button = page.locator("#sos .sos-button");
  await button.scrollIntoViewIfNeeded();
  const box = await button.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.waitForSelector(done);
  await page.mouse.up();
}

// Holds until it counts, and lets it count to its end: the alert is on the phone.
const hold = (page) => press(page, "#box [data-alert]");

// The incidents that the desk's queue shows now.
async function queue(desk) {
  const answer = await desk.request.get("/api/v1/incidents");
  assert.equal(answer.status(), 200);
  return answer.json();
}

async function atDesk(town) {
  const context = await person(browser, { size: sizes[1], baseURL: federation.url(town) });
  const page = await context.newPage();
  await enterDesk(page, federation, town);
  return { context, page, request: context.request };
}

// The time between two looks at a condition.
const look = () => setTimeout(100);

async function until(what, condition) {
  const end = Date.now() + 30_000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await look();
  }
}

test("a neighbour joins, holds the button, and sees the steps as the desk takes them", async () => {
  const context = await person(browser, located);
  const page = await context.newPage();
  await joinAs(page, federation, "san-miguel", { name: "Ana", address: "Gran Avenida 5000" });
  assert.deepEqual(await findings(page), []);
  await picture(page, "neighbour-home");
  await hold(page);

  const desk = await atDesk("san-miguel");
  const [incident] = await until("the SOS in the queue", async () => {
    const rows = await queue(desk);
    return rows.length > 0 && rows;
  });
  assert.equal(incident.kind, "sos");
  await page.goto(`${federation.url("san-miguel")}/alerts/${incident.id}`);
  const done = page.locator("#alert-steps li.done");
  const before = await done.count();
  await desk.page.goto(`${federation.url("san-miguel")}/console/incidents/${incident.id}`);
  await desk.page.click('form[action$="/claim"] button, button[data-do="claim"]');
  // Without reloading: the page hears of it.
  await page.waitForFunction((count) => document.querySelectorAll("#alert-steps li.done").length > count, before);
  assert.deepEqual(await findings(page), []);
  await picture(page, "neighbour-alert");
  await desk.context.close();
  await context.close();
});

test("an SOS that is cancelled while it counts is sent to nobody", async () => {
  const context = await person(browser, located);
  const page = await context.newPage();
  await joinAs(page, federation, "san-miguel", { name: "Inés", address: "Gran Avenida 6100" });
  const sent = [];
  page.on("request", (request) => request.method() === "POST" && sent.push(request.url()));
  await press(page, ".sos-count button");
  await page.click(".sos-count button");
  await page.waitForSelector("#sos:not([hidden]) .sos-button");
  assert.equal(await page.locator("#box [data-alert]").count(), 0);
  assert.deepEqual(sent, []);
  await context.close();
});

test("without JavaScript the same neighbour sends an SOS with the plain form", async () => {
  const context = await person(browser, { script: false });
  const page = await context.newPage();
  await joinAs(page, federation, "san-joaquin", { name: "Rosa", address: "Las Industrias 3000" });
  await page.click("#sos .sos-button");
  await page.waitForURL(/\/alerts\/[0-9a-f]{64}/);
  assert.ok((await page.locator("#alert-steps li.done").count()) >= 1, "nothing is shown as done");
  const desk = await atDesk("san-joaquin");
  const rows = await queue(desk);
  assert.equal(rows.filter((row) => page.url().includes(row.id)).length, 1);

  // A report with words, by its form.
  await page.goto(`${federation.url("san-joaquin")}/report/noise`);
  await page.fill('textarea[name="text"]', "Música fuerte desde las tres");
  await page.click('form[action="/alerts"] button');
  await page.waitForURL(/\/alerts\/[0-9a-f]{64}/);
  assert.ok((await page.innerText("main")).includes("Música fuerte desde las tres"));
  await desk.context.close();
  await context.close();
});

test("an alert sent while the node is away arrives exactly once when it is back", async () => {
  const context = await person(browser, located);
  const page = await context.newPage();
  await joinAs(page, federation, "san-miguel", { name: "Luisa", address: "Salesianos 1200" });
  const desk = await atDesk("san-miguel");
  const before = (await queue(desk)).length;
  await federation.kill("san-miguel");
  await hold(page);
  await picture(page, "neighbour-outbox");
  assert.ok((await page.innerText("#box")).length > 0, "the page says nothing about the alert that waits");
  await federation.restart("san-miguel");
  await until("the alert at the node", async () => (await queue(desk)).length > before);
  // The page knows: what waited is gone from its box, or shown as stored.
  await page.reload();
  await page.waitForSelector("#mine:not([hidden]) a");
  assert.equal((await queue(desk)).length, before + 1, "the alert is there more than once");
  await desk.context.close();
  await context.close();
});

test("every neighbour page is free of serious findings at every size", async () => {
  for (const size of sizes) {
    const context = await person(browser, { size });
    const page = await context.newPage();
    const url = federation.url("san-miguel");
    for (const path of ["/", "/join", "/enter"]) {
      await page.goto(url + path);
      assert.deepEqual(await findings(page), [], `${path} at ${size.name}`);
    }
    await joinAs(page, federation, "san-miguel", { name: `Eva ${size.name}`, address: `Llano ${size.width}` });
    for (const [path, name] of [
      ["/", "home"],
      ["/report/robbery", "report"],
      ["/me", "me"],
    ]) {
      await page.goto(url + path);
      assert.deepEqual(await findings(page), [], `${path} at ${size.name}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
      assert.equal(wide, false, `${path} scrolls sideways at ${size.name}`);
      await picture(page, `neighbour-${name}`);
    }
    await context.close();
  }
});
