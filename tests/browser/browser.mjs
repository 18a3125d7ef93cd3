// One Chromium for a file of journeys: Debian's, with no request to anybody but the nodes under test.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const axeSource = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

// Root of the project.
export const root = join(here, "..", "..");

// The sizes that every page is looked at in.
export const sizes = [
  { name: "360x740", width: 360, height: 740 },
  { name: "1366x768", width: 1366, height: 768 },
  { name: "1920x1080", width: 1920, height: 1080 },
];

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
];

export function launch() {
  const executablePath = execFileSync("which", ["chromium"], { encoding: "utf8" }).trim();
  return chromium.launch({ executablePath, headless: true, args: flags });
}

// A person with a browser of their own. `script: false` is a browser without JavaScript.
export async function person(browser, { size = sizes[0], script = true, locale = "es-CL", ...rest } = {}) {
  const context = await browser.newContext({
    viewport: { width: size.width, height: size.height },
    javaScriptEnabled: script,
    locale,
    ignoreHTTPSErrors: true,
    ...rest,
  });
  context.setDefaultTimeout(15_000);
  return context;
}

// Serious and critical findings of axe-core on the page as it stands, as lines of text.
// The strict content policy forbids inline scripts, so axe is run in the page's isolated world.
export async function findings(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", {
    frameId: frameTree.frame.id,
    worldName: "axe",
  });
  const { readFileSync } = await import("node:fs");
  const expression = `${readFileSync(axeSource, "utf8")};
    axe.run(document, { resultTypes: ["violations"] }).then((result) => JSON.stringify(result.violations))`;
  const answer = await session.send("Runtime.evaluate", {
    expression,
    contextId: executionContextId,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  if (answer.exceptionDetails) throw new Error(`axe: ${answer.exceptionDetails.exception?.description}`);
  return JSON.parse(answer.result.value)
    .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
    .flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.target} ${node.failureSummary}`));
}

// A picture of the page as it stands, kept as build output.
export async function picture(page, name) {
  const folder = join(root, "build", "screenshots");
  mkdirSync(folder, { recursive: true });
  const { width, height } = page.viewportSize();
  await page.screenshot({ path: join(folder, `${name}-${width}x${height}.png`) });
}
