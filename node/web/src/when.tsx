// A time as clock and as age; `live.ts` lets the age grow.
import { age, clock } from "./format";

export function When({ at }: { at: number }) {
  return (
    <time data-at={at} dateTime={new Date(at).toISOString()}>
      <b>{clock(at)}</b> <span>{age(at)}</span>
    </time>
  );
}
