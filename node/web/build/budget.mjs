// What a first visit loads, compressed: fails above the budget of a page.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist", import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));
const PAGE_BYTES = 10 * 1024;

const size = (file) => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
const find = (name) =>
  Object.keys(manifest).find((key) => manifest[key].name === name || key.endsWith(`/${name}`));

function files(key, dynamic, seen = new Set()) {
  const entry = manifest[key];
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of entry.imports ?? []) files(next, dynamic, seen);
  if (dynamic) for (const next of entry.dynamicImports ?? []) files(next, dynamic, seen);
  return seen;
}

const hashed = (name) =>
  readFileSync(join(dist, "assets.rs"), "utf8").match(new RegExp(`\\("${name}", "/([^"]+)"\\)`))[1];

/** name, script, sheets, what comes with dynamic imports, further files, budget in KB */
const pages = [
  ["neighbour", "neighbour.tsx", ["app.css"], false, [], 60],
  ["console", "console.tsx", ["app.css", "desk.css"], true, ["worker"], 600],
  ["country", "figures.ts", ["app.css", "charts.css"], true, ["communes.json"], 300],
];
let failed = false;
for (const [name, script, sheets, dynamic, further, budget] of pages) {
  const wanted = new Set([...files(find(script), dynamic)].map((key) => manifest[key].file));
  for (const sheet of sheets) wanted.add(hashed(sheet));
  for (const file of further) {
    if (file === "worker") {
      for (const key of Object.keys(manifest))
        if (key.includes("maplibre-gl-worker")) wanted.add(manifest[key].file);
    } else wanted.add(hashed(file));
  }
  const total = [...wanted].reduce((sum, file) => sum + size(file), PAGE_BYTES);
  const kilobytes = Math.ceil(total / 1024);
  console.log(`${name}: ${kilobytes} KB of ${budget} KB, ${wanted.size} files and the page`);
  if (kilobytes > budget) failed = true;
}
if (failed) {
  console.error("A page is above its budget.");
  process.exit(1);
}
