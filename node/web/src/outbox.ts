// The phone's own outbox: an alert is written here before anything is sent, and stays until the node
// has said that it stored it. Its id is made here, once, so that sending again never makes two.
import { signal } from "@preact/signals";
import type { Raised } from "./api";
import { refused } from "./api";
import { ping } from "./live";
import { now } from "./page";
import type { Fix } from "./place";

export interface Kept {
  alert: string;
  kind: string;
  text: string;
  silent: boolean;
  visibility: string | null;
  fix: Fix | null;
  made_ms: number;
  /** The whole request has left the phone at least once in the attempt that runs now. */
  sent_ms: number | null;
  stored: Raised | null;
  /** Why the last attempt was refused, in the node's words. */
  problem: string | null;
  /** Nothing more will be tried: the node said no for good. */
  final: boolean;
  attempts: number;
}

const KEPT = "cuadra.outbox";
const STORED_SHOWN_MS = 30 * 60_000;
const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];
const ATTEMPT_MS_MAX = 20_000;
const ENTRIES_MAX = 20;

export const outbox = signal<Kept[]>(load());
/** True while the entries are really in the phone's storage, not only in this page's memory. */
export const safe = signal(true);

function load(): Kept[] {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]") as Kept[];
    return kept.filter((k) => !k.stored || Date.now() - k.stored.stored_ms < STORED_SHOWN_MS);
  } catch {
    return [];
  }
}

function save(entries: Kept[]): void {
  outbox.value = entries;
  try {
    localStorage.setItem(KEPT, JSON.stringify(entries));
    safe.value = true;
  } catch {
    safe.value = false;
  }
}

function change(alert: string, changes: Partial<Kept>): void {
  save(outbox.value.map((k) => (k.alert === alert ? { ...k, ...changes } : k)));
}

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Keeps an alert and starts sending it. */
export function raise(draft: Pick<Kept, "kind" | "text" | "silent" | "visibility" | "fix">): string {
  const alert = newId();
  const entry: Kept = {
    ...draft,
    alert,
    made_ms: now(),
    sent_ms: null,
    stored: null,
    problem: null,
    final: false,
    attempts: 0,
  };
  const waiting = outbox.value.filter((k) => !k.stored && !k.final);
  save([entry, ...(waiting.length >= ENTRIES_MAX ? waiting : outbox.value)].slice(0, ENTRIES_MAX + 1));
  void send(alert);
  return alert;
}

export function dismiss(alert: string): void {
  save(outbox.value.filter((k) => k.alert !== alert));
}

const running = new Set<string>();

async function send(alert: string): Promise<void> {
  if (running.has(alert)) return;
  running.add(alert);
  try {
    for (;;) {
      const entry = outbox.value.find((k) => k.alert === alert);
      if (!entry || entry.stored || entry.final) return;
      await attempt(entry);
      const after = outbox.value.find((k) => k.alert === alert);
      if (!after || after.stored || after.final) return;
      await pause(RETRY_MS[Math.min(after.attempts, RETRY_MS.length) - 1] ?? 1_000);
    }
  } finally {
    running.delete(alert);
  }
}

/** Waits, or less if the phone comes back to life. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
  });
}

function attempt(entry: Kept): Promise<void> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/alerts");
    request.setRequestHeader("content-type", "application/json");
    request.setRequestHeader("accept", "application/json");
    request.timeout = ATTEMPT_MS_MAX;
    // Only this event tells that the request has really left.
    request.upload.onload = () => change(entry.alert, { sent_ms: now() });
    request.onload = () => {
      settle(entry, request.status, request.responseText);
      resolve();
    };
    const failed = () => {
      void ping();
      change(entry.alert, { sent_ms: null, attempts: entry.attempts + 1 });
      resolve();
    };
    request.onerror = failed;
    request.ontimeout = failed;
    request.onabort = failed;
    request.send(JSON.stringify(body(entry)));
  });
}

function body(entry: Kept): object {
  return {
    alert: entry.alert,
    kind: entry.kind,
    ...(entry.text ? { text: entry.text } : {}),
    ...(entry.silent ? { silent: true } : {}),
    ...(entry.visibility ? { visibility: entry.visibility } : {}),
    ...(entry.fix
      ? { point: { lat: entry.fix.lat, lon: entry.fix.lon, accuracy_m: entry.fix.accuracy_m } }
      : {}),
  };
}

function settle(entry: Kept, status: number, text: string): void {
  if (status === 201 || status === 200) {
    try {
      const stored = JSON.parse(text) as Raised;
      change(entry.alert, { stored, sent_ms: entry.sent_ms ?? now(), problem: null });
      return;
    } catch {
      // A page of something in between is not the node's word.
    }
  }
  const problem = refused(status, text);
  const words = problem.detail ? `${problem.title}. ${problem.detail}` : problem.title;
  // What the node refuses for good is not tried again; an SOS always is.
  const final = entry.kind !== "sos" && status >= 400 && status < 500 && status !== 408 && status !== 429;
  change(entry.alert, { sent_ms: null, problem: words, final, attempts: entry.attempts + 1 });
}

/** Goes on with what an earlier visit left. */
export function resume(): void {
  for (const entry of outbox.value) if (!entry.stored && !entry.final) void send(entry.alert);
}
