// The open incident: what is known, what may be done now, what was done.
import type { Detail, Line as TimelineLine, Step } from "./api";
import { act, closeDetail, open, opening, problem, said, sendPhoto } from "./desk";
import { clock } from "./format";
import { Icon } from "./icon";
import { Choose, Do, Line, choices, nodes } from "./line";
import { t, word } from "./page";
import { Status } from "./queue";
import { Correct, RelatedNotes, RelatedParts } from "./related";
import { When } from "./when";

const CREW = "cuadra.crew";
const OUTCOMES = [
  "helped",
  "life_saved",
  "goods_recovered",
  "arrest",
  "gang_dismantled",
  "nothing_found",
  "false_alarm",
  "fixed",
  "passed_on",
];

function crewName(): string {
  return localStorage.getItem(CREW) || "1";
}

function Actions({ d }: { d: Detail }) {
  const may = new Set(d.may);
  const steps = d.may.filter((m) => m.startsWith("step:"));
  const responses = d.may.filter((m) => m.startsWith("respond:"));
  return (
    <div class="actions">
      {may.has("claim") && <Do name="claim" main run={() => void act("claim", "claim")} />}
      {may.has("accept") && <Do name="accept" main run={() => void act("accept", "offers/accept")} />}
      {steps.map((name) => (
        <Do key={name} name={name} run={() => void act(name, "steps", { step: name.slice(5) })} />
      ))}
      {responses.map((name) => (
        <Do
          key={name}
          name={name}
          run={() => void act(name, "responses", { response: name.slice(8), crew: crewName() })}
        />
      ))}
      {responses.length > 0 && (
        <label class="crew">
          {t("console.crew")}
          <input
            value={crewName()}
            maxLength={20}
            size={4}
            onChange={(event) => localStorage.setItem(CREW, event.currentTarget.value.trim() || "1")}
          />
        </label>
      )}
    </div>
  );
}

function Forms({ d }: { d: Detail }) {
  const may = new Set(d.may);
  const text = (fields: FormData, name: string) => String(fields.get(name) ?? "");
  const id = d.incident.id;
  return (
    <div class="forms" key={id}>
      {may.has("decline") && (
        <Line name="decline" send={(f) => act("decline", "offers/decline", { reason: text(f, "reason") })}>
          <Choose
            name="reason"
            label={t("console.reason")}
            codes={choices("reason", ["not_ours", "no_crew"])}
          />
        </Line>
      )}
      {may.has("close") && (
        <Line name="close" send={(f) => act("close", "close", { outcome: text(f, "outcome") })}>
          <Choose name="outcome" label={t("console.outcome")} codes={choices("outcome", OUTCOMES)} />
        </Line>
      )}
      {may.has("reopen") && (
        <Line name="reopen" send={(f) => act("reopen", "reopen", { reason: text(f, "reason") })}>
          <Choose
            name="reason"
            label={t("console.reason")}
            codes={choices("reopen", ["not_solved", "again", "mistake"])}
          />
        </Line>
      )}
      {may.has("note") && (
        <Line
          name="note"
          send={(f) => act("note", "notes", { text: text(f, "text"), shared: f.has("shared") })}
        >
          <label class="grow">
            {t("console.note")}
            <textarea name="text" rows={2} maxLength={2000} required />
          </label>
          <label class="check">
            <input type="checkbox" name="shared" /> <span>{t("console.note_shared")}</span>
          </label>
        </Line>
      )}
      {may.has("note") && (
        <Line
          name="photo"
          send={async (f) => {
            const file = f.get("file");
            return file instanceof File && sendPhoto(file);
          }}
        >
          <label>
            {t("console.photo")}
            <input type="file" name="file" accept="image/jpeg,image/png,image/webp" required />
          </label>
        </Line>
      )}
      {may.has("invite") && d.reachable.length > 0 && (
        <Line name="invite" send={(f) => act("invite", "invitations", { node: text(f, "node") })}>
          <Choose name="node" label={t("console.node")} codes={nodes(d.reachable)} />
        </Line>
      )}
      {may.has("offer") && d.reachable.length > 0 && (
        <Line
          name="offer"
          send={(f) => act("offer", "offers", { node: text(f, "node"), reason: text(f, "reason") })}
        >
          <Choose name="node" label={t("console.node")} codes={nodes(d.reachable)} />
          <Choose
            name="reason"
            label={t("console.reason")}
            codes={choices("reason", ["territory", "means", "hours"])}
          />
        </Line>
      )}
    </div>
  );
}

function Steps({ steps }: { steps: Step[] }) {
  return (
    <ol class="steps">
      {steps.map((s) => (
        <li key={s.step} class={s.at_ms === null ? "todo" : "done"}>
          <span class="dot">
            <Icon name="status_resolved" />
          </span>
          <b>{word("step", s.step)}</b>
          <span>
            {s.at_ms === null ? <span class="quiet">{t("step.not_yet")}</span> : <When at={s.at_ms} />}
            {s.node && <span class="node"> · {s.node}</span>}
          </span>
          <Photos ids={s.photos} words={t("alert.photo_of_step")} />
        </li>
      ))}
    </ol>
  );
}

function Photos({ ids, words }: { ids: string[]; words: string }) {
  return (
    <>
      {ids.map((id) => (
        <a key={id} class="photo" href={`/media/${id}`} target="_blank" rel="noreferrer">
          <img src={`/media/${id}`} alt={words} loading="lazy" width={320} height={240} />
        </a>
      ))}
    </>
  );
}

function said_(line: TimelineLine): string {
  const operation = word("event", line.what);
  const family: Record<string, string> = {
    step: "step",
    close: "outcome",
    contribution: "contribution",
    respond: "response",
    reopen: "reopen",
    offer: "reason",
    decline: "reason",
    refer: "service",
    answer_referral: "referral",
    dispute: "disputed",
  };
  const of = family[line.what];
  if (!of || !line.detail) return operation;
  const detail = word(of, line.detail);
  return ["step", "contribution", "respond"].includes(line.what) ? detail : `${operation}: ${detail}`;
}

function Timeline({ lines }: { lines: TimelineLine[] }) {
  return (
    <ol class="timeline">
      {lines.map((line) => (
        <li key={line.id} class={line.confirmed ? "" : "unconfirmed"}>
          <p>
            <b>{said_(line)}</b>
            {line.other_node && <span class="node"> → {line.other_node}</span>}
          </p>
          {line.text && <p class="said">{line.text}</p>}
          {line.detail_pending && (
            <p class="small">
              <Icon name="pending" /> {t("timeline.pending")}
            </p>
          )}
          {line.erased.map((gone) => (
            <p key={gone.id} class="small">
              {t(gone.on_request ? "timeline.erased_asked" : "timeline.erased")}
              {gone.gone_at.length > 0 ? ` · ${t("timeline.erased_at", gone.gone_at.join(", "))}` : ""}
              {gone.waiting_for.length > 0
                ? ` · ${t("timeline.erased_not_at", gone.waiting_for.join(", "))}`
                : ""}
            </p>
          ))}
          <Photos ids={line.photos} words={t("timeline.photo")} />
          <p class="small">
            <When at={line.written_ms} /> · {line.node}
            {line.by ? ` · ${line.by}` : ""}
            {Math.abs(line.received_ms - line.written_ms) >= 120_000
              ? ` · ${t("timeline.received", clock(line.received_ms))}`
              : ""}
            {line.confirmed ? "" : ` · ${t("timeline.unconfirmed")}`}
          </p>
        </li>
      ))}
    </ol>
  );
}

export function Problem() {
  const p = problem.value;
  if (!p) return null;
  return (
    <div class="problem" role="alert">
      <h2>{p.title}</h2>
      <p>{p.detail || t("console.failed")}</p>
    </div>
  );
}

function Reporter({ d }: { d: Detail }) {
  const r = d.reporter;
  if (!r) return null;
  return (
    <dl class="facts">
      <div>
        <dt>{t("reporter.name")}</dt>
        <dd>{r.name ?? t("reporter.sealed")}</dd>
      </div>
      {r.phone && (
        <div>
          <dt>{t("reporter.phone")}</dt>
          <dd>
            <a href={`tel:${r.phone}`}>{r.phone}</a>
          </dd>
        </div>
      )}
      {r.address && (
        <div>
          <dt>{t("reporter.address")}</dt>
          <dd>{r.address}</dd>
        </div>
      )}
      <div>
        <dt>{t("reporter.visibility")}</dt>
        <dd>{word("visibility", r.visibility)}</dd>
      </div>
    </dl>
  );
}

export function IncidentPane() {
  const d = open.value;
  if (!d) {
    return (
      <>
        <Problem />
        <p class="empty">{opening.value ? t("console.loading") : t("console.choose")}</p>
      </>
    );
  }
  const i = d.incident;
  const told = d.timeline.find((line) => line.what === "open")?.text ?? i.text;
  return (
    <article data-incident={i.id} aria-busy={opening.value !== null}>
      <button type="button" class="button small only-narrow" onClick={closeDetail}>
        <Icon name="back" /> {t("console.queue")}
      </button>
      <header>
        <h2 class="incident-title" tabIndex={-1}>
          <Icon name={i.kind} /> {word("kind", i.kind)} <span class="code">{i.short}</span>
        </h2>
        <p>
          <Status i={i} /> · {word("urgency", i.urgency)} · {i.place || t("console.no_place")}
          {i.point && !i.point_exact ? ` (${t("console.approximate")})` : ""} · <When at={i.opened_ms} />
        </p>
        <p>
          {t("console.answers", i.owner)}
          {i.claimed_by ? ` · ${t("console.claimed_by", i.claimed_by)}` : ""}
          {i.offered_to ? ` · ${t("console.offered", i.offered_to)}` : ""} · {word("source", i.source)}
        </p>
        {i.contents !== "here" && <p class="note">{word("contents", i.contents)}</p>}
        {told && <blockquote>{told}</blockquote>}
      </header>
      <Problem />
      <p class="said-now" role="status">
        {said.value}
      </p>
      <RelatedNotes d={d} />
      <Actions d={d} />
      <RelatedParts d={d} />
      <Reporter d={d} />
      <Forms d={d} />
      <Correct d={d} />
      {d.may.includes("redact") && (
        <p>
          <a class="button small" href={`/console/incidents/${i.id}/more`}>
            {t("console.more_acts")}
          </a>
        </p>
      )}
      <div class="history">
        <div>
          <h3>{t("alert.steps")}</h3>
          <Steps steps={d.steps} />
          <h3>{t("console.involved")}</h3>
          <ul class="plain">
            {d.involved.map((n) => (
              <li key={n.id}>{n.name}</li>
            ))}
          </ul>
        </div>
        <div>
          <h3>{t("alert.timeline")}</h3>
          <Timeline lines={d.timeline} />
        </div>
      </div>
      <details class="small">
        <summary>{t("console.proof")}</summary>
        <p>{t("console.proof_means")}</p>
        {d.heads.map((head) => (
          <p key={head} class="code break">
            {head}
          </p>
        ))}
      </details>
    </article>
  );
}
