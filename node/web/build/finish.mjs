// After Vite: adds the service worker, the app's manifest and its icon, compresses what is worth it,
// and writes the table that the node embeds (assets.rs).
import { readFileSync, writeFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { createHash } from "node:crypto";

const root = new URL("..", import.meta.url).pathname;
const dist = join(root, "dist");
const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));

const hashed = (name, extension, content) => {
  const hash = createHash("sha256").update(content).digest("base64url").slice(0, 8);
  const path = `assets/${name}-${hash}.${extension}`;
  writeFileSync(join(dist, path), content);
  return `/${path}`;
};

const names = {};
for (const entry of Object.values(manifest)) {
  if (!entry.isEntry) continue;
  const extension = entry.file.split(".").pop();
  names[`${entry.name ?? entry.src.split("/").pop().split(".")[0]}.${extension}`] = `/${entry.file}`;
}
names["icon.svg"] = hashed("icon", "svg", readFileSync(join(root, "build/icon.svg")));
names["communes.json"] = hashed("communes", "json", readFileSync(join(root, "map/communes.json")));

const shell = [names["app.css"], names["neighbour.js"], names["icon.svg"]];
const shared = (entry) =>
  (entry.imports ?? []).flatMap((key) => [`/${manifest[key].file}`, ...shared(manifest[key])]);
for (const entry of Object.values(manifest)) {
  if (entry.isEntry && `/${entry.file}` === names["neighbour.js"]) shell.push(...new Set(shared(entry)));
}
const worker = readFileSync(join(root, "build/sw.js"), "utf8");
const version = createHash("sha256")
  .update(shell.join() + worker)
  .digest("hex")
  .slice(0, 12);
writeFileSync(
  join(dist, "sw.js"),
  worker.replace('"VERSION"', JSON.stringify(version)).replace('"SHELL"', JSON.stringify(shell)),
);
writeFileSync(
  join(dist, "manifest.webmanifest"),
  JSON.stringify({
    name: "cuadra",
    short_name: "cuadra",
    lang: "es-CL",
    start_url: "/",
    display: "standalone",
    background_color: "#ffffff",
    theme_color: "#12376b",
    icons: [{ src: names["icon.svg"], sizes: "any", type: "image/svg+xml", purpose: "any" }],
  }),
);

const mimes = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  json: "application/json",
  svg: "image/svg+xml",
  webmanifest: "application/manifest+json",
};
const walk = (folder) =>
  readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? walk(path) : [path];
    });
const rows = [];
for (const path of walk(dist)) {
  const name = relative(dist, path);
  const mime = mimes[name.split(".").pop()];
  if (name.startsWith(".vite/") || mime === undefined) continue;
  const bytes = readFileSync(path);
  const packed = gzipSync(bytes, { level: 9 });
  const worth = packed.length < bytes.length * 0.9;
  if (worth) writeFileSync(`${path}.gz`, packed);
  const bytesOf = (file) => `include_bytes!(concat!(env!("OUT_DIR"), "/web/${file}"))`;
  rows.push(
    `    Asset { path: "/${name}", mime: "${mime}", bytes: ${bytesOf(name)}, ` +
      `gzip: ${worth ? `Some(${bytesOf(`${name}.gz`)})` : "None"}, immutable: ${name.startsWith("assets/")} },`,
  );
}
const table = Object.entries(names).map(([name, path]) => `    ("${name}", "${path}"),`);
const loads = [];
for (const entry of Object.values(manifest)) {
  const name = entry.isEntry && Object.keys(names).find((key) => names[key] === `/${entry.file}`);
  if (!name || !name.endsWith(".js")) continue;
  const files = [...new Set(shared(entry))].map((file) => `"${file}"`);
  loads.push(`    ("${name}", &[${files.join(", ")}]),`);
}
writeFileSync(
  join(dist, "assets.rs"),
  `static ASSETS: &[Asset] = &[\n${rows.join("\n")}\n];\n` +
    `static NAMES: &[(&str, &str)] = &[\n${table.join("\n")}\n];\n` +
    `static LOADS: &[(&str, &[&str])] = &[\n${loads.join("\n")}\n];\n`,
);
