// The queue: every incident as one row; the ringing ones on top and unmistakable.
import { signal } from "@preact/signals";
import type { Incident } from "./api";
import {
  holdOrder,
  open,
  opening,
  ringing,
  rows,
  search,
  show,
  showClosed,
  startCall,
  withClosed,
} from "./desk";
import { number, span } from "./format";
import { Icon } from "./icon";
import { now, t, word } from "./page";
import { ready, toggleSound, wanted } from "./ring";
import { When } from "./when";

const SHOWN_AT_ONCE = 100;
const OVERDUE_MS: Record<Incident["urgency"], number> = {
  emergency: 3 * 60_000,
  high: 15 * 60_000,
  normal: 2 * 3_600_000,
  low: 3 * 86_400_000,
};
const shown = signal(SHOWN_AT_ONCE);
/** A slow clock, so that what becomes overdue says so. */
const minute = signal(0);
setInterval(() => (minute.value += 1), 15_000);

export function Status({ i }: { i: Pick<Incident, "status" | "outcome"> }) {
  return (
    <span class={`status status-${i.status}`}>
      <Icon name={`status_${i.status}`} /> {word("status", i.status)}
      {i.outcome ? ` · ${word("outcome", i.outcome)}` : ""}
    </span>
  );
}

function Flags({ i }: { i: Incident }) {
  void minute.value;
  const waits =
    i.status === "open" && !i.claimed_by && !i.late && now() - i.opened_ms > OVERDUE_MS[i.urgency];
  return (
    <>
      {i.ringing && (
        <strong class="flag alarm">
          <Icon name="bell" /> {t("console.ringing")}
        </strong>
      )}
      {i.offered_to_us && <strong class="flag strong">{t("console.offered_to_us")}</strong>}
      {i.referred_to_us && <strong class="flag strong">{t("console.referred_to_us")}</strong>}
      {waits && !i.ringing && (
        <span class="flag overdue">{t("console.overdue", span(now() - i.opened_ms))}</span>
      )}
      {i.contents === "newer" && <span class="flag">{t("contents.newer")}</span>}
      {i.late && (
        <span class="flag" title={t("console.late_means")}>
          {t("console.late")}
        </span>
      )}
    </>
  );
}

function Row({ i }: { i: Incident }) {
  const current = (opening.value ?? open.value?.incident.id) === i.id;
  return (
    <li>
      <a
        class={`entry${i.ringing ? " ringing" : ""}`}
        href={`/console/incidents/${i.id}`}
        data-id={i.id}
        aria-current={current ? "true" : undefined}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          void show(i.id);
        }}
      >
        <span class="kind">
          <Icon name={i.kind} />
        </span>
        <span class="what">
          <span>
            <b>{word("kind", i.kind)}</b> <span class="code">{i.short}</span>
          </span>
          <span class="where">
            {i.place}
            {i.ours ? "" : ` · ${i.owner}`}
            {i.claimed_by ? ` · ${i.claimed_by}` : ""}
            {i.saw_it_too > 0 ? ` · ${t("console.saw", number(i.saw_it_too))}` : ""}
            {i.crews > 0 ? ` · ${t("console.crews", number(i.crews))}` : ""}
          </span>
          {i.text && <span class="text">{i.text}</span>}
          <span class="flags">
            <Status i={i} />
            <Flags i={i} />
          </span>
        </span>
        <span class="when">
          <When at={i.opened_ms} />
        </span>
      </a>
    </li>
  );
}

function Sound() {
  const on = wanted.value && ready.value;
  return (
    <button
      type="button"
      class={`button small${on ? "" : " warn"}`}
      data-do="sound"
      aria-pressed={on}
      onClick={toggleSound}
    >
      <Icon name={on ? "bell" : "bell_off"} />
      <span>{on ? t("console.sound_on") : t("console.sound_off")}</span>
    </button>
  );
}

export function Queue({ help }: { help: () => void }) {
  const list = rows.value;
  const first = ringing.value[0];
  const more = list.length - shown.value;
  return (
    <section class="pane queue" aria-labelledby="queue-title">
      <header>
        <h1 id="queue-title">{t("console.queue")}</h1> <span class="count">{number(list.length)}</span>
        <button type="button" class="button small main" data-do="call" onClick={startCall}>
          <Icon name="phone" /> {t("console.call")} <kbd>t</kbd>
        </button>
      </header>
      <div class="tools">
        <input
          id="search"
          type="search"
          placeholder={t("console.search")}
          aria-label={t("console.search")}
          value={search.value}
          onInput={(event) => (search.value = event.currentTarget.value)}
        />
        <label class="check">
          <input
            type="checkbox"
            checked={withClosed.value}
            onChange={(e) => showClosed(e.currentTarget.checked)}
          />
          <span>{t("console.closed_too")}</span>
        </label>
        <Sound />
        <button type="button" class="button small" data-do="keys" onClick={help}>
          {t("console.keys")} <kbd>?</kbd>
        </button>
      </div>
      <div class={`strip${first ? " ringing" : ""}`} aria-live="assertive">
        {first && (
          <button type="button" data-do="first_ringing" onClick={() => void show(first.id)}>
            <Icon name="bell" /> {t("console.ringing_count", number(ringing.value.length))} ·{" "}
            {word("kind", first.kind)} · {first.place} <kbd>g</kbd>
          </button>
        )}
      </div>
      {list.length === 0 && (
        <p class="empty">{search.value ? t("console.nothing_found") : t("console.queue_empty")}</p>
      )}
      <ol class="rows" onPointerEnter={() => holdOrder(true)} onPointerLeave={() => holdOrder(false)}>
        {list.slice(0, shown.value).map((i) => (
          <Row key={i.id} i={i} />
        ))}
      </ol>
      {more > 0 && (
        <button type="button" class="button wide" onClick={() => (shown.value += SHOWN_AT_ONCE)}>
          {t("console.more", number(Math.min(more, SHOWN_AT_ONCE)))}
        </button>
      )}
    </section>
  );
}
