// Taking a phone call: four fields, filled while the person talks.
import { useEffect, useRef } from "preact/hooks";
import { busy, callPoint, closeDetail, takeCall } from "./desk";
import { Problem } from "./incident";
import { data, t } from "./page";

const kinds = Object.entries(data<Record<string, string>>("words") ?? {}).filter(([key]) =>
  key.startsWith("kind."),
);

export function Call() {
  const first = useRef<HTMLSelectElement>(null);
  useEffect(() => first.current?.focus(), []);
  return (
    <form
      class="stack call"
      data-form="call"
      onSubmit={(event) => {
        event.preventDefault();
        const fields = new FormData(event.currentTarget);
        const text = (name: string) => String(fields.get(name) ?? "").trim();
        const phone = text("phone") ? { phone: text("phone") } : {};
        void takeCall({ kind: text("kind"), address: text("address"), text: text("text"), ...phone });
      }}
    >
      <h2>{t("call.title")}</h2>
      <Problem />
      <label>
        {t("call.kind")}
        <select ref={first} name="kind" required>
          {kinds.map(([key, words]) => (
            <option key={key} value={key.slice(5)}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t("call.address")}
        <input name="address" required maxLength={200} autoComplete="off" />
      </label>
      <p class="small">{callPoint.value ? t("call.point_set") : t("call.point_how")}</p>
      <label>
        {t("call.text")}
        <textarea name="text" rows={3} maxLength={2000} required />
      </label>
      <label>
        {t("call.phone")}
        <input name="phone" type="tel" maxLength={20} autoComplete="off" />
      </label>
      <p class="row">
        <button class="button main" aria-disabled={busy.value !== null}>
          {busy.value ? t("console.working") : t("call.send")}
        </button>
        <button type="button" class="button" onClick={closeDetail}>
          {t("console.cancel")}
        </button>
      </p>
    </form>
  );
}
