// What the server told this page about itself, and the words for its islands.

export interface NodeView {
  id: string;
  name: string;
  roles: string[];
  codes: string[];
  emergency_number: string;
}

interface Page {
  lang: string;
  time_zone: string;
  now_ms: number;
  role: "resident" | "operator" | "nobody";
  node: NodeView;
}

export function data<T>(id: string): T | null {
  const text = document.getElementById(id)?.textContent;
  return text ? (JSON.parse(text) as T) : null;
}

export const page: Page = data<Page>("page") ?? {
  lang: document.documentElement.lang,
  time_zone: "America/Santiago",
  now_ms: Date.now(),
  role: "nobody",
  node: { id: "", name: "", roles: [], codes: [], emergency_number: "133" },
};

const words = data<Record<string, string>>("words") ?? {};

/** The words of a key, with `{n}` filled in. */
export function t(key: string, n?: string | number): string {
  const text = words[key] ?? key;
  return n === undefined ? text : text.replace("{n}", String(n));
}

/** The words of a code of a family; a code that this version does not know shows itself. */
export function word(family: string, code: string): string {
  return words[`${family}.${code}`] ?? code.replaceAll("_", " ");
}

/** How far this device's clock is behind the node's. */
let behind = page.now_ms - Date.now();

/** Now, by the node's clock, so that ages are right on a phone whose clock is wrong. */
export function now(): number {
  return Date.now() + behind;
}

export function learnClock(nodeMs: number): void {
  behind = nodeMs - Date.now();
}
