// Makes the pictures of the README from a running federation: `cargo dev pictures`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, person, root, sizes } from "./browser.mjs";
import { enterDesk, joinAs, startFederation } from "./federation.mjs";

const folder = join(root, "docs", "pictures");
mkdirSync(folder, { recursive: true });
const [phone, desk] = sizes;

const alerts = [
  {
    who: { name: "Ana", address: "Gran Avenida 5120" },
    town: "san-miguel",
    kind: "robbery",
    text: "Dos hombres con cuchillo junto al mercado",
    point: { lat: -33.4982865, lon: -70.641416 },
  },
  {
    who: { name: "Rosa", address: "Llano Subercaseaux 3400" },
    town: "san-miguel",
    kind: "street_light",
    text: "Poste apagado hace tres noches",
    point: { lat: -33.502786, lon: -70.65251 },
  },
  {
    who: { name: "Pedro", address: "Las Industrias 2900" },
    town: "san-joaquin",
    kind: "fire",
    text: "Humo negro en el techo de un taller",
    point: { lat: -33.500888, lon: -70.636719 },
  },
  {
    who: { name: "Juana", address: "Haydn 4710" },
    town: "san-joaquin",
    kind: "noise",
    text: "Música fuerte desde las tres",
    point: { lat: -33.50589, lon: -70.626328 },
  },
  {
    who: { name: "Luis", address: "Salesianos 1210" },
    town: "san-miguel",
    kind: "tree_down",
    text: "Rama grande sobre la vereda",
    point: { lat: -33.4995, lon: -70.6489 },
  },
];

async function raise(federation, { who, town, kind, text, point }) {
  const context = await person(browser, { baseURL: federation.url(town) });
  const page = await context.newPage();
  await joinAs(page, federation, town, who);
  const alert = Array.from({ length: 64 }, () => Math.floor(Math.random() * 16).toString(16)).join("");
  const headers = { origin: federation.url(town), "sec-fetch-site": "same-origin" };
  const answer = await page.request.post("/api/v1/alerts", { data: { alert, kind, text, point }, headers });
  if (answer.status() !== 201) throw new Error(await answer.text());
  const { id } = await answer.json();
  return { id, context, page };
}

async function shoot(page, name, size) {
  await page.setViewportSize({ width: size.width, height: size.height });
  await page.waitForLoadState("networkidle").catch(() => {});
  await page.screenshot({ path: join(folder, `${name}.png`) });
  console.log(`docs/pictures/${name}.png`);
}

const browser = await launch();
const federation = await startFederation();
try {
  const raised = [];
  for (const alert of alerts) raised.push(await raise(federation, alert));
  const [first] = raised;
  const operator = await person(browser, { size: desk, baseURL: federation.url("san-miguel") });
  const console_ = await operator.newPage();
  await enterDesk(console_, federation, "san-miguel");
  const headers = { origin: federation.url("san-miguel"), "sec-fetch-site": "same-origin" };
  for (const [what, data] of [
    ["claim", {}],
    ["steps", { step: "called" }],
    ["steps", { step: "on_the_way" }],
  ]) {
    const answer = await operator.request.post(`/api/v1/incidents/${first.id}/${what}`, { data, headers });
    if (!answer.ok()) throw new Error(`${what}: ${await answer.text()}`);
  }
  await first.page.goto(`${federation.url("san-miguel")}/`);
  await shoot(first.page, "neighbour", phone);
  await first.page.goto(`${federation.url("san-miguel")}/alerts/${first.id}`);
  await shoot(first.page, "alert", phone);
  await console_.goto(`${federation.url("san-miguel")}/console/incidents/${first.id}`);
  await shoot(console_, "console", desk);
  const public_ = await (await person(browser, { size: desk })).newPage();
  await public_.goto(`${federation.url("national")}/country`);
  await public_.waitForSelector("#figures");
  await shoot(public_, "country", desk);
} finally {
  await browser.close();
  await federation.stop();
}
