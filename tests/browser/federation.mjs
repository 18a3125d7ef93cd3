// A small federation of real nodes for a file of journeys: San Miguel, San Joaquín, the precinct above
// them and the national node. It ends when the journey ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "./browser.mjs";

export async function startFederation() {
  const dev = process.env.CUADRA_DEV ?? join(root, "target", "debug", "dev");
  const child = spawn(dev, ["federation"], { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the federation ended");
    return JSON.parse(value);
  };
  const { nodes } = await next();
  const command = async (...words) => {
    child.stdin.write(`${words.join(" ")}\n`);
    const answer = await next();
    if (answer.unknown) throw new Error(`unknown command: ${answer.unknown}`);
    return answer;
  };
  return {
    // Where the pages of a town are.
    url: (town) => nodes[town],
    residentCode: async (town) => (await command("resident", town)).code,
    operatorCode: async (town) => (await command("operator", town)).code,
    kill: (town) => command("kill", town),
    restart: (town) => command("restart", town),
    cut: (one, other) => command("cut", one, other),
    mend: (one, other) => command("mend", one, other),
    stop: async () => {
      child.stdin.end();
      await once(child, "exit");
    },
  };
}

// Joins as a neighbour by the form, as a person would. Leaves the page at the neighbour's home.
export async function joinAs(page, federation, town, { name, address }) {
  const code = await federation.residentCode(town);
  await page.goto(`${federation.url(town)}/join?code=${code}`);
  await page.fill('input[name="name"]', name);
  await page.fill('input[name="address"]', address);
  await page.click('form[action="/join"] button.main');
  await page.waitForSelector("#sos .sos-button");
}

// Signs in at the desk by the form.
export async function enterDesk(page, federation, town) {
  const code = await federation.operatorCode(town);
  await page.goto(`${federation.url(town)}/enter`);
  await page.fill('input[name="code"]', code);
  await page.click('form[action="/enter"] button');
  await page.waitForURL((url) => url.pathname !== "/enter");
}
