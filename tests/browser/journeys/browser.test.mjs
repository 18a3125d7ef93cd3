// The instruments themselves: a journey that sees nothing would pass for ever.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findings, launch, person } from "../browser.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test("axe finds a picture without words and a button without a name, also under a strict policy", async () => {
  const context = await person(browser);
  const page = await context.newPage();
  await page.route("**/*", (route) =>
    route.fulfill({
      contentType: "text/html",
      headers: { "content-security-policy": "default-src 'self'" },
      body: "<html lang=es><title>x</title><main><h1>x</h1><img src=x><button></button></main>",
    }),
  );
  await page.goto("http://page.localhost/");
  const found = await findings(page);
  assert.ok(found.some((line) => line.startsWith("image-alt:")), found.join("\n"));
  assert.ok(found.some((line) => line.startsWith("button-name:")), found.join("\n"));
  await context.close();
});

test("a browser without JavaScript runs none", async () => {
  const context = await person(browser, { script: false });
  const page = await context.newPage();
  await page.setContent("<p id=p>before</p><script>document.getElementById('p').textContent = 'after'</script>");
  assert.equal(await page.locator("#p").innerText(), "before");
  await context.close();
});
