// Keeps the neighbour's page usable without a connection: the files of the shell and the last first
// page seen. Alerts are not its business: the page keeps those itself.
const VERSION = "VERSION",
  SHELL = "SHELL";
self.addEventListener("install", (e) => {
  e.waitUntil(
    caches
      .open(VERSION)
      .then((c) => c.addAll(SHELL))
      .then(() => self.skipWaiting()),
  );
});
self.addEventListener("activate", (e) => {
  const old = (k) => Promise.all(k.filter((n) => n !== VERSION).map((n) => caches.delete(n)));
  e.waitUntil(
    caches
      .keys()
      .then(old)
      .then(() => self.clients.claim()),
  );
});
const limit = (r) => fetch(r, { signal: AbortSignal.timeout(8000) });
const page = async (r) => {
  const cache = await caches.open(VERSION);
  try {
    const answer = await limit(r);
    if (answer.ok && !answer.redirected) await cache.put("/", answer.clone());
    return answer;
  } catch {
    return (await cache.match("/")) ?? Response.error();
  }
};
self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== "GET" || url.origin !== location.origin) return;
  if (e.request.mode === "navigate" && url.pathname === "/") e.respondWith(page(e.request));
  else if (SHELL.includes(url.pathname))
    e.respondWith(caches.match(e.request).then((kept) => kept ?? fetch(e.request)));
});
self.addEventListener("message", (e) => {
  if (e.data === "forget") e.waitUntil(caches.open(VERSION).then((c) => c.delete("/")));
});
