// The console's state: the queue, the open incident, what is under way. It asks the node and shows
// what the node said; it decides nothing about incidents.
import { computed, signal } from "@preact/signals";
import type { Detail, Incident, Point, Raised } from "./api";
import { Refused, ask, refused } from "./api";
import { smaller } from "./forms";
import { data, page, t } from "./page";

export const queue = signal<Incident[]>(data<Incident[]>("queue") ?? []);
export const open = signal<Detail | null>(data<Detail>("open"));
export const opening = signal<string | null>(null);
export const search = signal("");
export const withClosed = signal(false);
export const busy = signal<string | null>(null);
export const said = signal("");
export const problem = signal<Refused | null>(null);
export const calling = signal(false);
/** True while a tap on the map corrects the place of the open incident. */
export const placing = signal(false);
/** True while a tap on the map marks a place. */
export const marking = computed(() => calling.value || placing.value);
/** The place marked on the map for the call that is being taken, or for the incident that is corrected. */
export const callPoint = signal<Point | null>(null);

const RANK = { emergency: 0, high: 1, normal: 2, low: 3 };

function rank(i: Incident): number {
  if (i.status === "closed") return 3;
  if (i.ringing) return 0;
  return i.offered_to_us || i.referred_to_us ? 1 : 2;
}

function sorted(rows: Incident[]): string[] {
  return [...rows]
    .sort(
      (a, b) =>
        rank(a) - rank(b) ||
        RANK[a.urgency] - RANK[b.urgency] ||
        b.opened_ms - a.opened_ms ||
        (a.id < b.id ? -1 : 1),
    )
    .map((i) => i.id);
}

/** The order on the screen. It stands still while somebody points at it. */
export const order = signal<string[]>(sorted(queue.value));
let pointedAt = false;

export function holdOrder(still: boolean): void {
  pointedAt = still;
  if (!still) order.value = sorted(queue.value);
}

export const rows = computed<Incident[]>(() => {
  const byId = new Map(queue.value.map((i) => [i.id, i]));
  const words = search.value.trim().toLocaleLowerCase();
  return order.value
    .map((id) => byId.get(id))
    .filter((i): i is Incident => i !== undefined)
    .filter((i) => withClosed.value || i.status !== "closed" || i.id === open.value?.incident.id)
    .filter(
      (i) =>
        !words ||
        [i.short, i.place, i.kind, t(`kind.${i.kind}`), i.text ?? "", i.owner]
          .join(" ")
          .toLocaleLowerCase()
          .includes(words),
    );
});

export const ringing = computed(() => queue.value.filter((i) => i.ringing));

function take(rows: Incident[]): void {
  queue.value = rows;
  if (!pointedAt) {
    order.value = sorted(rows);
    return;
  }
  const known = new Set(order.value);
  order.value = [...order.value, ...sorted(rows).filter((id) => !known.has(id))];
}

/** Puts an incident's new state into its row at once. */
function put(detail: Detail): void {
  if (open.value?.incident.id === detail.incident.id) open.value = detail;
  if (queue.value.some((i) => i.id === detail.incident.id)) {
    take(queue.value.map((i) => (i.id === detail.incident.id ? { ...i, ...detail.incident } : i)));
  }
}

let asking = false;
let askAgain = false;

/** Reads the queue and the open incident again; many events in a row cost one reading. */
export async function reload(): Promise<void> {
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  try {
    take(await ask<Incident[]>("GET", `/api/v1/incidents?status=${withClosed.value ? "all" : "open"}`));
    const id = open.value?.incident.id;
    if (id) put(await ask<Detail>("GET", `/api/v1/incidents/${id}`));
  } catch {
    // The banner tells that the node is away; what is here stays.
  } finally {
    asking = false;
    if (askAgain) {
      askAgain = false;
      setTimeout(() => void reload(), 250);
    }
  }
}

export function showClosed(yes: boolean): void {
  withClosed.value = yes;
  void reload();
}

export async function show(id: string): Promise<void> {
  calling.value = false;
  placing.value = false;
  callPoint.value = null;
  problem.value = null;
  said.value = "";
  opening.value = id;
  history.replaceState(null, "", `/console/incidents/${id}`);
  try {
    const detail = await ask<Detail>("GET", `/api/v1/incidents/${id}`);
    if (opening.value === id) open.value = detail;
  } catch (cause) {
    if (cause instanceof Refused) problem.value = cause;
  } finally {
    if (opening.value === id) opening.value = null;
  }
}

export function closeDetail(): void {
  open.value = null;
  calling.value = false;
  problem.value = null;
  history.replaceState(null, "", "/console");
}

/** Does something to the open incident, once at a time. */
export async function act(name: string, path: string, body: object = {}): Promise<boolean> {
  const id = open.value?.incident.id;
  if (!id || busy.value) return false;
  busy.value = name;
  problem.value = null;
  said.value = "";
  try {
    put(await ask<Detail>("POST", `/api/v1/incidents/${id}/${path}`, body));
    said.value = t("console.done");
    return true;
  } catch (cause) {
    if (cause instanceof Refused) problem.value = cause;
    void reload();
    return false;
  } finally {
    busy.value = null;
  }
}

/** Adds a photo from the place. */
export async function sendPhoto(file: File): Promise<boolean> {
  const id = open.value?.incident.id;
  if (!id || busy.value) return false;
  busy.value = "photo";
  problem.value = null;
  const body = new FormData();
  body.append("file", await smaller(file), "photo.jpg");
  try {
    const answer = await fetch(`/api/v1/alerts/${id}/media`, {
      method: "POST",
      body,
      headers: { accept: "application/json" },
    });
    if (!answer.ok) throw refused(answer.status, await answer.text());
    said.value = t("console.done");
    void reload();
    return true;
  } catch (cause) {
    problem.value = cause instanceof Refused ? cause : refused(0, "");
    return false;
  } finally {
    busy.value = null;
  }
}

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

let callId = newId();

export function startCall(): void {
  callId = newId();
  callPoint.value = null;
  problem.value = null;
  calling.value = true;
}

/** Keeps a call; sending it again after a failure makes no second incident. */
export async function takeCall(fields: object): Promise<void> {
  if (busy.value) return;
  busy.value = "call";
  problem.value = null;
  try {
    const point = callPoint.value ? { point: callPoint.value } : {};
    const raised = await ask<Raised>("POST", "/api/v1/calls", { ...fields, ...point, alert: callId });
    await reload();
    await show(raised.id);
  } catch (cause) {
    if (cause instanceof Refused) problem.value = cause;
  } finally {
    busy.value = null;
  }
}

export const ownCodes = new Set(page.node.codes);
