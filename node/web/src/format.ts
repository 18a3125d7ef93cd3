// Numbers and times as people here write them; the same rules as on the server.
import { now, page, t } from "./page";

const numbers = new Intl.NumberFormat(page.lang, { useGrouping: true, minimumFractionDigits: 0 });
const clockParts: Intl.DateTimeFormatOptions = {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
  timeZone: page.time_zone,
};
const clocks = new Intl.DateTimeFormat("es-CL", clockParts);
const seconds = new Intl.DateTimeFormat("es-CL", { ...clockParts, second: "2-digit" });
const days = new Intl.DateTimeFormat("es-CL", { day: "2-digit", month: "2-digit", timeZone: page.time_zone });

export function number(value: number): string {
  // Spanish leaves four digits together by default; here they are parted.
  const text = numbers.format(value);
  return value >= 1000 && value < 10000 && /^\d{4}/.test(text)
    ? `${text[0]}${page.lang.startsWith("es") ? "." : ","}${text.slice(1)}`
    : text;
}

export function decimal(value: number): string {
  return value.toFixed(1).replace(".", page.lang.startsWith("es") ? "," : ".");
}

function parts(ms: number): [string, number] {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return ["seconds", s];
  if (s < 3600) return ["minutes", Math.floor(s / 60)];
  if (s < 86400) return ["hours", Math.floor(s / 3600)];
  return ["days", Math.floor(s / 86400)];
}

export function age(atMs: number): string {
  const ms = now() - atMs;
  if (ms < 10_000) return t("age.now");
  const [unit, n] = parts(ms);
  return t(`age.${unit}`, number(n));
}

export function span(ms: number): string {
  const [unit, n] = parts(ms);
  return t(`span.${unit}`, number(n));
}

export function clock(atMs: number): string {
  const time = clocks.format(atMs);
  return days.format(atMs) === days.format(now()) ? time : `${days.format(atMs)} ${time}`;
}

export function clockSeconds(atMs: number): string {
  return seconds.format(atMs);
}

export function distance(metres: number): string {
  return metres < 1000 ? `${Math.round(metres)}\u00a0m` : `${decimal(metres / 1000)}\u00a0km`;
}
