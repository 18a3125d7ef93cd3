// What an incident has to do with others: services that were asked, what it is the same as, disputes;
// and the forms that refer, merge and correct it.
import type { Detail, Related } from "./api";
import { act, callPoint, placing, show } from "./desk";
import { distance } from "./format";
import { Icon } from "./icon";
import { Choose, Do, Line, choices, nodes } from "./line";
import { data, t, word } from "./page";
import { When } from "./when";

const SERVICES = ["police", "fire", "ambulance", "municipal_security", "urban_services"];
const URGENCIES = ["low", "normal", "high", "emergency"];
const DISPUTED = ["kind", "place", "outcome", "owner"];
const KINDS = Object.keys(data<Record<string, string>>("words") ?? {})
  .filter((key) => key.startsWith("kind."))
  .map((key) => key.slice(5));

const text = (fields: FormData, name: string) => String(fields.get(name) ?? "").trim();

/** Opens another incident without leaving the console. */
const go = (id: string) => (event: MouseEvent) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  void show(id);
};

function Other({ o }: { o: Related }) {
  return (
    <>
      <p>
        <a href={`/console/incidents/${o.id}`} onClick={go(o.id)}>
          <Icon name={o.kind} /> {word("kind", o.kind)} <span class="code">{o.short}</span>
        </a>{" "}
        · {word("status", o.status)} · {o.owner}
        {o.distance_m === null ? "" : ` · ${t("home.distance", distance(o.distance_m))}`} ·{" "}
        <When at={o.opened_ms} />
        {o.absorbed ? ` · ${t("related.absorbed")}` : ""}
        {o.same_alert ? ` · ${t("related.same_alert")}` : ""}
      </p>
      {o.text && <p class="said">{o.text}</p>}
    </>
  );
}

function Referrals({ d }: { d: Detail }) {
  if (d.referrals.length === 0) return null;
  const waiting = d.referrals.find((r) => r.may.length > 0);
  const accepted = d.referrals.some((r) => r.state === "accepted");
  return (
    <section class="related" aria-labelledby="referrals-title">
      <h3 id="referrals-title">{t("related.referrals")}</h3>
      <ul class="plain">
        {d.referrals.map((r) => (
          <li key={r.id}>
            <p>
              <b>{word("service", r.service)}</b>
              {r.node ? ` · ${r.node.name}` : ""} ·{" "}
              <span class={`flag${r.state === "waiting" ? " strong" : ""}`}>{word("referral", r.state)}</span>{" "}
              <When at={r.answered_ms ?? r.asked_ms} />
            </p>
            {r.may.length > 0 && (
              <div class="actions">
                {r.may.map((answer) => (
                  <Do
                    key={answer}
                    name={`answer:${answer}`}
                    // The keys are for the oldest that waits; the others have their buttons.
                    keyed={r === waiting}
                    run={() => void act(`answer:${answer}`, "referrals/answer", { referral: r.id, answer })}
                  />
                ))}
              </div>
            )}
          </li>
        ))}
      </ul>
      {d.incident.ours && d.incident.status !== "closed" && !accepted && (
        <p class="small">{t("related.still_ours")}</p>
      )}
    </section>
  );
}

function Duplicates({ d }: { d: Detail }) {
  const { links, here } = d.duplicates;
  return (
    <>
      {links.length > 0 && (
        <section class="related" aria-labelledby="links-title">
          <h3 id="links-title">{t("related.links")}</h3>
          <ul class="plain">
            {links.map((o) => (
              <li key={o.id}>
                <Other o={o} />
                {!o.absorbed && (
                  <p class="small">
                    <Icon name="pending" /> {t("related.waits", o.owner)}
                  </p>
                )}
                {o.may && (
                  <Do
                    name="unlink"
                    keyed={o === links[0]}
                    run={() => void act("unlink", "links/remove", { target: o.id })}
                  />
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
      {here.length > 0 && (
        <section class="related" aria-labelledby="here-title">
          <h3 id="here-title">{t("related.here")}</h3>
          <ul class="plain">
            {here.map((o) => (
              <li key={o.id}>
                <Other o={o} />
                {o.may && (
                  <Do
                    name="absorb"
                    keyed={o === here.find((other) => other.may)}
                    run={() => void act("absorb", "absorptions", { target: o.id })}
                  />
                )}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

/** What comes before everything else: that it is shown elsewhere, or ended. */
export function RelatedNotes({ d }: { d: Detail }) {
  return (
    <>
      {d.merged && (
        <p class="note">
          {t("related.merged")}{" "}
          {d.merged.id ? (
            <a class="code" href={`/console/incidents/${d.merged.id}`} onClick={go(d.merged.id)}>
              {d.merged.short}
            </a>
          ) : (
            <b class="code">{d.merged.short}</b>
          )}
        </p>
      )}
      {d.retired && <p class="note">{t("related.retired")}</p>}
    </>
  );
}

export function RelatedParts({ d }: { d: Detail }) {
  return (
    <>
      {d.disputes.length > 0 && (
        <section class="related" aria-labelledby="disputes-title">
          <h3 id="disputes-title">{t("related.disputes")}</h3>
          <ul class="plain">
            {d.disputes.map((x) => (
              <li key={`${x.node} ${x.what} ${x.at_ms}`}>
                <p>
                  <b>{x.node}</b>: {word("disputed", x.what)} · <When at={x.at_ms} />
                </p>
                {x.text && <p class="said">{x.text}</p>}
              </li>
            ))}
          </ul>
        </section>
      )}
      <Referrals d={d} />
      <Duplicates d={d} />
    </>
  );
}

function LinkForm({ d }: { d: Detail }) {
  const { suggested } = d.duplicates;
  return (
    <Line
      name="link"
      send={(f) => act("link", "links", { target: text(f, "number") || text(f, "target") })}
      after={<p class="small grow">{t("correct.link_means")}</p>}
    >
      {suggested.length > 0 && (
        <Choose
          name="target"
          label={t("correct.suggested")}
          grow
          codes={suggested.map((o) => [
            o.id,
            [
              o.short,
              word("kind", o.kind),
              o.owner,
              ...(o.distance_m === null ? [] : [t("home.distance", distance(o.distance_m))]),
              ...(o.text ? [o.text] : []),
            ].join(" · "),
          ])}
        />
      )}
      <label>
        {t("correct.number")}
        <input name="number" maxLength={64} autoComplete="off" required={suggested.length === 0} />
      </label>
    </Line>
  );
}

function PlaceForm() {
  const point = callPoint.value;
  const typed = (axis: "lat" | "lon") => point?.[axis].toFixed(6) ?? "";
  return (
    <Line
      name="relocate"
      send={async (f) => {
        const number = (name: string) => Number(text(f, name).replace(",", "."));
        const done = await act("relocate", "place", {
          address: text(f, "address") || null,
          point: { lat: number("lat"), lon: number("lon") },
        });
        if (done) callPoint.value = null;
        return done;
      }}
    >
      <label class="grow">
        {t("correct.address")}
        <input name="address" maxLength={200} autoComplete="off" />
      </label>
      <label>
        {t("correct.lat")}
        <input name="lat" inputMode="decimal" required autoComplete="off" defaultValue={typed("lat")} key={typed("lat")} />
      </label>
      <label>
        {t("correct.lon")}
        <input name="lon" inputMode="decimal" required autoComplete="off" defaultValue={typed("lon")} key={typed("lon")} />
      </label>
      <p class="small grow">{point ? t("call.point_set") : t("correct.place_how")}</p>
    </Line>
  );
}

/** Refer, merge, correct: closed until somebody wants them, by a click or by their keys. */
export function Correct({ d }: { d: Detail }) {
  const may = new Set(d.may);
  const any = ["refer", "link", "reclassify", "relocate", "dispute"].some((act) => may.has(act));
  if (!any) return null;
  const { kind, urgency, id } = d.incident;
  return (
    <details
      class="correct"
      key={id}
      onToggle={(event) => {
        placing.value = event.currentTarget.open && may.has("relocate");
      }}
    >
      <summary>{t("correct.title")}</summary>
      <div class="forms">
        {may.has("refer") && (
          <Line
            name="refer"
            send={(f) =>
              act("refer", "referrals", { service: text(f, "service"), node: text(f, "node") || null })
            }
          >
            <Choose
              name="service"
              label={t("correct.service")}
              codes={choices("service", SERVICES)}
              chosen={d.service}
            />
            {d.services.length > 0 && (
              <Choose
                name="node"
                label={t("correct.service_node")}
                codes={[["", t("correct.no_node")], ...nodes(d.services)]}
              />
            )}
          </Line>
        )}
        {may.has("link") && <LinkForm d={d} />}
        {may.has("reclassify") && (
          <Line
            name="reclassify"
            send={(f) =>
              act("reclassify", "kind", { kind: text(f, "kind"), urgency: text(f, "urgency") || null })
            }
          >
            <Choose name="kind" label={t("call.kind")} codes={choices("kind", KINDS)} chosen={kind} />
            <Choose
              name="urgency"
              label={t("correct.urgency")}
              codes={[["", t("correct.urgency_usual")], ...choices("urgency", URGENCIES)]}
              chosen={urgency}
            />
          </Line>
        )}
        {may.has("relocate") && <PlaceForm />}
        {may.has("dispute") && (
          <Line
            name="dispute"
            send={(f) => act("dispute", "disputes", { what: text(f, "what"), text: text(f, "text") })}
          >
            <Choose
              name="what"
              label={t("correct.disputed")}
              codes={choices("disputed", DISPUTED)}
            />
            <label class="grow">
              {t("correct.why")}
              <textarea name="text" rows={2} maxLength={2000} required />
            </label>
          </Line>
        )}
      </div>
    </details>
  );
}
