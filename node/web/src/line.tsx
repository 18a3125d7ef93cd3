// One action of the desk: its key, its words, its button, its form of one line.
import type { ComponentChildren } from "preact";
import type { NodeName } from "./api";
import { busy } from "./desk";
import { t, word } from "./page";

/** The key of each action, shown beside it. */
export const KEYS: Record<string, string> = {
  claim: "c",
  accept: "a",
  decline: "d",
  "step:received": "0",
  "step:called": "1",
  "step:on_the_way": "2",
  "step:on_site": "3",
  "step:resolved": "4",
  "respond:on_the_way": "5",
  "respond:on_site": "6",
  "respond:clear": "7",
  note: "n",
  photo: "p",
  invite: "i",
  offer: "o",
  close: "x",
  reopen: "r",
  refer: "f",
  "answer:accepted": "y",
  "answer:declined": "z",
  "answer:no_answer": "w",
  link: "u",
  unlink: "v",
  absorb: "b",
  reclassify: "e",
  relocate: "l",
  dispute: "q",
};

/** The words of an action, for its button and for the list of keys. */
export function actionWords(name: string): string {
  const [family, code] = name.split(":");
  if (family === "step") return word("do_step", code ?? "");
  if (family === "respond") return word("response", code ?? "");
  if (family === "answer") return word("do_answer", code ?? "");
  return word("do", name);
}

/** The button of an action; without `keyed`, one that its key does not press. */
export function Do({
  name,
  main,
  keyed = true,
  run,
}: {
  name: string;
  main?: boolean;
  keyed?: boolean;
  run?: () => void;
}) {
  const working = busy.value === name;
  return (
    <button
      type={run ? "button" : "submit"}
      class={`button${main ? " main" : ""}`}
      data-do={keyed ? name : undefined}
      aria-disabled={busy.value !== null}
      onClick={run}
    >
      {working ? t("console.working") : actionWords(name)} {keyed && <kbd>{KEYS[name]}</kbd>}
    </button>
  );
}

/** As it was: a list goes back to what it stood on, not to its first line. */
function clear(form: HTMLFormElement): void {
  form.reset();
  for (const list of form.querySelectorAll<HTMLSelectElement>("select[data-chosen]")) {
    list.value = list.dataset["chosen"] ?? list.value;
  }
}

/** A form of one line whose Enter works from every field. */
export function Line({
  name,
  send,
  children,
  after,
}: {
  name: string;
  send: (fields: FormData) => Promise<boolean>;
  children: ComponentChildren;
  after?: ComponentChildren;
}) {
  return (
    <form
      class="line"
      data-form={name}
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        void send(new FormData(form)).then((done) => done && clear(form));
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && event.target instanceof HTMLSelectElement) {
          event.preventDefault();
          event.currentTarget.requestSubmit();
        }
      }}
    >
      {children}
      <Do name={name} />
      {after}
    </form>
  );
}

export function Choose({
  name,
  label,
  codes,
  chosen,
  grow,
}: {
  name: string;
  label: string;
  codes: [string, string][];
  chosen?: string;
  grow?: boolean;
}) {
  return (
    <label class={grow ? "grow" : undefined}>
      {label}
      <select name={name} data-chosen={chosen}>
        {codes.map(([code, words]) => (
          <option key={code} value={code} selected={chosen === undefined ? undefined : code === chosen}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}

export function nodes(list: NodeName[]): [string, string][] {
  return list.map((n) => [n.id, n.name]);
}

export const choices = (family: string, codes: string[]): [string, string][] =>
  codes.map((code) => [code, word(family, code)]);
