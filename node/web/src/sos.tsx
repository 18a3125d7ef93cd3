// The red button: held for a second it counts three more, in which it can be cancelled, then the
// alert is kept and sent with whatever position is known.
import { signal } from "@preact/signals";
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ask } from "./api";
import { outbox, raise } from "./outbox";
import { page, t } from "./page";
import type { Fix } from "./place";
import { allowed, follow, lastFix, onFix } from "./place";

const HOLD_MS = 1_000;
const COUNT_SECONDS = 3;
/** A better position is passed on while somebody may still be on the way. */
const REFINE_MS_MAX = 3 * 60_000;

const left = signal(0);

function Countdown({ cancel }: { cancel: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  const counting = left.value > 0;
  useEffect(() => {
    if (counting) button.current?.focus();
  }, [counting]);
  if (!counting) return null;
  return (
    <div class="sos-count">
      <p class="sos-how" role="alert">
        {t("sos.sending", left.value)}
      </p>
      <output aria-hidden="true">{left.value}</output>
      <button ref={button} type="button" class="button wide" onClick={cancel}>
        {t("sos.cancel")}
      </button>
    </div>
  );
}

export function sos(): void {
  const form = document.getElementById("sos") as HTMLFormElement | null;
  const button = form?.querySelector<HTMLButtonElement>(".sos-button");
  const how = document.getElementById("sos-how");
  if (!form || !button || !how) return;
  const silent = form.querySelector<HTMLInputElement>("[name=silent]");
  const buzz = (pattern: number | number[]) => {
    if (!silent?.checked) navigator.vibrate?.(pattern);
  };
  const place = document.createElement("div");
  form.after(place);
  how.textContent = t("sos.how");
  void allowed().then((yes) => yes && follow());

  let holding = 0;
  let counting = 0;

  const release = (words?: string) => {
    if (!holding) return;
    clearTimeout(holding);
    holding = 0;
    button.classList.remove("holding");
    how.textContent = words ?? t("sos.short");
  };
  const hold = () => {
    if (holding || counting) return;
    button.classList.add("holding");
    how.textContent = t("sos.holding");
    buzz(40);
    holding = window.setTimeout(count, HOLD_MS);
  };
  const count = () => {
    if (counting) return;
    holding = 0;
    button.classList.remove("holding");
    buzz([80, 60, 80]);
    follow();
    form.hidden = true;
    left.value = COUNT_SECONDS;
    counting = window.setInterval(() => {
      left.value -= 1;
      if (left.value <= 0) finish(true);
    }, 1_000);
  };
  const finish = (send: boolean) => {
    clearInterval(counting);
    counting = 0;
    left.value = 0;
    form.hidden = false;
    how.textContent = send ? t("sos.how") : t("sos.cancelled");
    if (!send) {
      button.focus();
      return;
    }
    buzz(200);
    const fix = lastFix();
    const alert = raise({ kind: "sos", text: "", silent: silent?.checked ?? false, visibility: null, fix });
    refine(alert, fix);
    document.getElementById("box")?.scrollIntoView({ block: "nearest" });
  };
  render(<Countdown cancel={() => finish(false)} />, place);

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    hold();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
    button.addEventListener(name, () => release());
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) hold();
  });
  button.addEventListener("keyup", () => release());
  let pointed = 0;
  button.addEventListener("pointerup", () => (pointed = Date.now()));
  form.addEventListener("submit", (event) => event.preventDefault());
  button.addEventListener("click", (event) => {
    event.preventDefault();
    // A screen reader's click has no pointer behind it and cannot be held.
    if (event.detail === 0 && Date.now() - pointed > 1_000 && !holding) count();
  });
}

/** Tells the desk a better position, once, if one comes in time. */
function refine(alert: string, sent: Fix | null): void {
  if (page.role !== "resident") return;
  const until = Date.now() + REFINE_MS_MAX;
  let better: Fix | null = null;
  let busy = false;
  const stop = onFix((fix) => {
    if (Date.now() > until) stop();
    else if (fix.accuracy_m < 200 && (!sent || fix.accuracy_m * 2 < sent.accuracy_m)) better = fix;
    void tell();
  });
  const tell = async () => {
    const document = outbox.value.find((k) => k.alert === alert)?.stored?.id;
    if (!better || !document || busy) return;
    busy = true;
    const words = `${better.lat.toFixed(5)}, ${better.lon.toFixed(5)} (±${better.accuracy_m} m)`;
    try {
      await ask("POST", `/api/v1/incidents/${document}/contributions`, {
        what: "information",
        text: t("box.better_place", words),
      });
      stop();
    } catch {
      busy = false;
    }
  };
  const waiting = window.setInterval(() => {
    void tell();
    if (Date.now() > until || (busy && better)) clearInterval(waiting);
  }, 2_000);
}
