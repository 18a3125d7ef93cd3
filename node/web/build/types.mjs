// Writes the types of the API (src/generated/api.ts) from its description (openapi.json). After a
// change of the API: CUADRA_WRITE_OPENAPI=1 cargo test -p node api_description; npm run types.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const web = new URL("..", import.meta.url).pathname;
const description = join(web, "openapi.json");
const target = join(web, "src/generated/api.ts");
mkdirSync(join(web, "src/generated"), { recursive: true });
execFileSync("npx", ["--yes", "openapi-typescript@7.13.0", description, "--output", target], {
  cwd: web,
  stdio: ["ignore", "ignore", "inherit"],
});
const hash = createHash("sha256").update(readFileSync(description)).digest("hex");
writeFileSync(target, `// openapi.json ${hash}\n${readFileSync(target, "utf8")}`);
