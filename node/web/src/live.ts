// Keeps a page current: one event stream, a banner while it is down, parts of the page replaced when
// something changed, ages that grow.
import { clock, age } from "./format";
import { now, page, t } from "./page";

type Listener = (event: string) => void;
const listeners = new Set<Listener>();
const EVENTS = ["incident", "figures", "peers", "notice", "reload"];
/** A break shorter than this is not worth alarming anybody. */
const QUIET_MS = 4_000;
const PING_MS = 10_000;
const RETRY_MS_MAX = 15_000;

let source: EventSource | null = null;
let lostSince = 0;
let retryMs = 500;

/** Calls back with the event's name; with `again` after a break in which events may be missing. */
export function onChange(listener: Listener): void {
  listeners.add(listener);
}

function tell(event: string): void {
  for (const listener of listeners) listener(event);
}

function found(): void {
  retryMs = 500;
  if (lostSince > 0) tell("again");
  lostSince = 0;
  banner();
}

function lost(): void {
  if (lostSince === 0) lostSince = Date.now();
  setTimeout(banner, QUIET_MS + 50);
}

function banner(): void {
  const element = document.getElementById("lost");
  if (!element) return;
  const since = lostSince;
  const show = since > 0 && Date.now() - since >= QUIET_MS;
  if (show) {
    const kept = now() - page.now_ms > 120_000 && !everOpen;
    const words = kept
      ? t("live.old", clock(page.now_ms))
      : t("live.lost", clock(now() - (Date.now() - since)));
    if (element.textContent !== words) element.textContent = words;
  }
  document.body.classList.toggle("is-lost", show);
  element.hidden = !show;
}

let everOpen = false;

function open(): void {
  source?.close();
  source = new EventSource("/api/v1/events");
  source.onopen = () => {
    everOpen = true;
    found();
  };
  source.onerror = () => {
    lost();
    source?.close();
    source = null;
    setTimeout(open, retryMs * (0.75 + Math.random() / 2));
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  };
  for (const name of EVENTS) source.addEventListener(name, () => tell(name));
}

// A connection can be dead without anybody noticing; a small question tells.
export async function ping(): Promise<void> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 5_000);
  try {
    const answer = await fetch("/health", { signal: stop.signal, cache: "no-store" });
    if (source?.readyState === EventSource.OPEN && answer.ok) found();
  } catch {
    lost();
    source?.close();
    source = null;
    open();
  } finally {
    clearTimeout(timer);
  }
}

let waiting = 0;

/** Replaces the parts marked `data-live` by what the server shows now. */
export function refresh(): void {
  if (waiting) return;
  waiting = window.setTimeout(() => {
    waiting = 0;
    void replace();
  }, 400);
}

async function replace(): Promise<void> {
  let fresh: Document;
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return;
  }
  for (const old of document.querySelectorAll<HTMLElement>("[data-live][id]")) {
    const next = fresh.getElementById(old.id);
    if (!next || next.outerHTML === old.outerHTML) continue;
    // What somebody is reading by keyboard or pointing at stays until they move on.
    if (old.contains(document.activeElement) && document.activeElement !== old) continue;
    const opened = old.querySelectorAll("details[open]").length > 0;
    old.replaceWith(next);
    if (opened) next.querySelector("details")?.setAttribute("open", "");
  }
  document.dispatchEvent(new Event("refreshed"));
}

function tick(): void {
  for (const time of document.querySelectorAll<HTMLElement>("time[data-at]")) {
    const part = time.querySelector("span");
    const words = age(Number(time.dataset["at"]));
    if (part && part.textContent !== words) part.textContent = words;
  }
  // What has ended is not said any more, also where no event comes.
  for (const notice of document.querySelectorAll<HTMLElement>("[data-until]"))
    notice.hidden ||= Number(notice.dataset["until"]) <= now();
}

/** Keeps the page current: its own parts at every event, a page without any at what everybody is told. */
export function keepFresh(): void {
  const own = document.querySelector("[data-live]:not(#notices)") !== null;
  onChange((event) => {
    if (own || event === "notice" || event === "reload" || event === "again") refresh();
  });
}

/** Starts all of it. Without a session there is no stream to listen to. */
export function live(): void {
  setInterval(tick, 5_000);
  if (page.role === "nobody" && !page.node.roles.includes("aggregator")) return;
  open();
  setInterval(() => void ping(), PING_MS);
  window.addEventListener("online", () => void ping());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      void ping();
      tell("again");
    }
  });
}
