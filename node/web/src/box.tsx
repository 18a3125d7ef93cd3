// What happens with an alert that was sent from this phone: each state shown only when it is true.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Detail, Step } from "./api";
import { ask } from "./api";
import { age, clock, distance } from "./format";
import { onChange } from "./live";
import type { Kept } from "./outbox";
import { dismiss, outbox, safe } from "./outbox";
import { page, t, word } from "./page";

/** Steps that the node has told, by document. */
const told = signal<Record<string, Step[]>>({});

async function learn(): Promise<void> {
  if (page.role !== "resident") return;
  for (const entry of outbox.value) {
    if (!entry.stored) continue;
    try {
      const detail = await ask<Detail>("GET", `/api/v1/incidents/${entry.stored.id}`);
      told.value = { ...told.value, [entry.stored.id]: detail.steps };
    } catch {
      // The line stays as it was; the banner says that the node is away.
    }
  }
}

function State({ name, at }: { name: string; at: number | null }) {
  return (
    <li class={at === null ? "todo" : "done"}>
      <span class="dot">
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
          <path d="m4 12.5 5.5 5.5L20 6.5" />
        </svg>
      </span>
      <b>{name}</b>
      {at !== null && (
        <time data-at={at}>
          <b>{clock(at)}</b> <span>{age(at)}</span>
        </time>
      )}
    </li>
  );
}

function Entry({ entry }: { entry: Kept }) {
  const steps = entry.stored ? told.value[entry.stored.id] : undefined;
  const stored = entry.stored;
  return (
    <article class="card" data-alert={entry.alert}>
      <h2>{t("box.title")}</h2>
      <ol class="steps">
        {safe.value && <State name={t("box.saved")} at={entry.made_ms} />}
        <State name={t("box.sent")} at={entry.sent_ms ?? stored?.stored_ms ?? null} />
        <State name={t("box.stored")} at={stored?.stored_ms ?? null} />
        {(steps ?? [])
          .filter((s) => s.step !== "stored")
          .map((s) => (
            <State key={s.step} name={word("step", s.step)} at={s.at_ms} />
          ))}
      </ol>
      {!stored && entry.attempts > 0 && !entry.final && <p>{t("box.waiting", page.node.emergency_number)}</p>}
      {!stored && entry.problem && <p class="problem">{t("box.refused", entry.problem)}</p>}
      {stored && (
        <p class="small">{entry.fix ? t("box.place", distance(entry.fix.accuracy_m)) : t("box.no_place")}</p>
      )}
      {stored?.offered_to && <p>{t("box.offered", stored.offered_to)}</p>}
      {stored?.outside && <p>{t("box.outside")}</p>}
      <p class="row">
        {stored && page.role === "resident" && (
          <a class="button main" href={`/alerts/${stored.id}`}>
            {t("box.open")}
          </a>
        )}
        {(stored || entry.final) && (
          <button type="button" class="button" onClick={() => dismiss(entry.alert)}>
            {t("box.dismiss")}
          </button>
        )}
      </p>
    </article>
  );
}

export function Box() {
  const ids = outbox.value.map((k) => k.stored?.id ?? "").join();
  useEffect(() => void learn(), [ids]);
  useEffect(() => onChange(() => void learn()), []);
  return (
    <>
      {outbox.value.map((entry) => (
        <Entry key={entry.alert} entry={entry} />
      ))}
    </>
  );
}
