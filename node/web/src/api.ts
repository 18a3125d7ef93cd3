// The JSON API: its shapes, from the node's own description, and asking it.
import type { components } from "./generated/api";
import { t } from "./page";

type Schemas = components["schemas"];
/** The node always writes a field, as `null` where there is nothing; its description calls that optional. */
type Whole<T> = T extends (infer Item)[]
  ? Whole<Item>[]
  : T extends object
    ? { [Key in keyof T]-?: Whole<Exclude<T[Key], undefined>> }
    : T;

export type Point = Whole<Schemas["PointView"]>;
export type Urgency = "low" | "normal" | "high" | "emergency";
export type Incident = Omit<Whole<Schemas["IncidentView"]>, "urgency"> & { urgency: Urgency };
export type Step = Whole<Schemas["StepView"]>;
export type Line = Whole<Schemas["TimelineView"]>;
export type Related = Whole<Schemas["RelatedView"]>;
export type NodeName = Whole<Schemas["NodeNameView"]>;
export type Detail = Omit<Whole<Schemas["IncidentDetailView"]>, "incident"> & { incident: Incident };
export type Raised = Whole<Schemas["RaisedView"]>;
export type TerritoryFigure = Whole<Schemas["TerritoryFigureView"]>;

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
