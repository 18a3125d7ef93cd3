// Every action has a key; `?` lists them.
import { useEffect, useRef } from "preact/hooks";
import { calling, closeDetail, open, opening, rows, show, startCall } from "./desk";
import { KEYS, actionWords } from "./line";
import { t } from "./page";

const GENERAL: [string, string][] = [
  ["j  k  ↓  ↑", "console.key_move"],
  ["g", "console.key_first_ringing"],
  ["t", "console.call"],
  ["/", "console.key_search"],
  ["m", "console.key_map"],
  ["s", "console.key_sound"],
  ["Esc", "console.key_escape"],
  ["?", "console.key_help"],
];

export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="keys" aria-labelledby="keys-title" onClose={close}>
      <h2 id="keys-title">{t("console.keys_title")}</h2>
      <dl>
        {GENERAL.map(([key, words]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{t(words)}</dd>
          </div>
        ))}
        {Object.entries(KEYS).map(([name, key]) => (
          <div key={name}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{actionWords(name)}</dd>
          </div>
        ))}
      </dl>
      <button type="button" class="button main" onClick={() => dialog.current?.close()}>
        {t("console.close_help")}
      </button>
    </dialog>
  );
}

function move(by: number): void {
  const list = rows.value;
  const current = opening.value ?? open.value?.incident.id;
  const at = list.findIndex((i) => i.id === current);
  const next = list[at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + by))];
  if (!next) return;
  void show(next.id);
  document.querySelector<HTMLElement>(`.entry[data-id="${next.id}"]`)?.focus();
}

function press(name: string): boolean {
  const button = document.querySelector<HTMLElement>(`.console [data-do="${name}"]`);
  const form = document.querySelector<HTMLElement>(`.console [data-form="${name}"]`);
  const folded = form?.closest("details");
  if (folded) folded.open = true;
  // A form is entered at its first field; a plain action is done.
  const target = form?.querySelector<HTMLElement>("select, textarea, input");
  if (target) target.focus();
  else button?.click();
  return Boolean(target ?? button);
}

export function listen(help: { open: () => void; shown: () => boolean }): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || help.shown()) return;
    const target = event.target as HTMLElement;
    const typing = target.matches("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape") {
      if (typing) target.blur();
      else if (calling.value) calling.value = false;
      else if (open.value && matchMedia("(max-width: 899px)").matches) closeDetail();
      else document.querySelector<HTMLElement>(".entry[aria-current], .entry")?.focus();
      return;
    }
    if (typing || target.closest(".maplibregl-map")) return;
    const action = Object.entries(KEYS).find(([, key]) => key === event.key)?.[0];
    const general: Record<string, () => void> = {
      j: () => move(1),
      ArrowDown: () => move(1),
      k: () => move(-1),
      ArrowUp: () => move(-1),
      g: () => press("first_ringing"),
      t: startCall,
      "/": () => document.getElementById("search")?.focus(),
      m: () => press("map"),
      s: () => press("sound"),
      "?": help.open,
    };
    const arrows = event.key.startsWith("Arrow") && !target.closest(".queue") && target !== document.body;
    const run = arrows ? undefined : general[event.key];
    if (run) run();
    else if (!action || !press(action)) return;
    event.preventDefault();
  });
}
