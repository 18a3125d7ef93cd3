// The JSON API: its shapes, and asking it.
import { t } from "./page";

export interface Point {
  lat: number;
  lon: number;
}
export interface Incident {
  id: string;
  short: string;
  kind: string;
  urgency: "low" | "normal" | "high" | "emergency";
  code: string;
  place: string;
  cell: string;
  point: Point | null;
  point_exact: boolean;
  source: string;
  status: string;
  outcome: string | null;
  owner: string;
  owner_id: string;
  ours: boolean;
  offered_to: string | null;
  offered_to_us: boolean;
  opened_ms: number;
  changed_ms: number;
  late: boolean;
  ringing: boolean;
  claimed_by: string | null;
  alerts: number;
  saw_it_too: number;
  crews: number;
  distance_m: number | null;
  text: string | null;
}
export interface Step {
  step: string;
  at_ms: number | null;
  node: string | null;
  photos: string[];
}
export interface Line {
  id: string;
  what: string;
  detail: string | null;
  node: string;
  by: string | null;
  written_ms: number;
  received_ms: number;
  text: string | null;
  detail_pending: boolean;
  photos: string[];
  other_node: string | null;
  confirmed: boolean;
}
export interface NodeName {
  id: string;
  name: string;
}
export interface Detail {
  incident: Incident;
  steps: Step[];
  timeline: Line[];
  involved: NodeName[];
  reachable: NodeName[];
  heads: string[];
  may: string[];
  reporter: { name: string | null; phone: string | null; address: string | null; visibility: string } | null;
}
export interface Raised {
  id: string;
  short: string;
  stored_ms: number;
  already: boolean;
  offered_to: string | null;
  outside: boolean;
}
export interface TerritoryFigure {
  code: string;
  name: string;
  registered_addresses: number;
  population: number;
  compliance_percent: number;
  reports: number;
  open_now: number;
}

/** What went wrong, in words for the person. `status` is 0 when the node could not be reached. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(title);
  }
}

const TIMEOUT_MS = 15_000;

/** Asks the node; throws `Refused` for anything but success. */
export async function ask<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
  const options: RequestInit = { method, signal: stop.signal, headers: { accept: "application/json" } };
  if (body !== undefined) {
    options.headers = { accept: "application/json", "content-type": "application/json" };
    options.body = JSON.stringify(body);
  }
  try {
    const answer = await fetch(path, options);
    if (!answer.ok) throw refused(answer.status, await answer.text());
    return (answer.status === 204 ? null : await answer.json()) as T;
  } catch (cause) {
    if (cause instanceof Refused) throw cause;
    throw refused(0, "");
  } finally {
    clearTimeout(timer);
  }
}

/** The words of an `application/problem+json` answer. */
export function refused(status: number, body: string): Refused {
  try {
    const problem = JSON.parse(body) as { title?: string; detail?: string };
    if (problem.title) return new Refused(status, problem.title, problem.detail ?? "");
  } catch {
    // Not ours: something between us and the node answered.
  }
  return new Refused(status, t("problem.internal.title"), "");
}
