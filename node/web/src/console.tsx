// The console: queue left, incident middle, map right; every action has a key.
import { signal } from "@preact/signals";
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Call } from "./call";
import { calling, open, reload, show } from "./desk";
import { leaveForms } from "./forms";
import { IncidentPane } from "./incident";
import { Help, listen } from "./keys";
import { keepFresh, live, onChange } from "./live";
import { t } from "./page";
import { Queue } from "./queue";
import { ring } from "./ring";

const helping = signal(false);
/** The map is loaded where it is seen: at once beside the queue, on a phone when asked. */
const wide = matchMedia("(min-width: 1200px)");
const mapped = signal(wide.matches);
wide.addEventListener("change", () => (mapped.value ||= wide.matches));

function MapPane() {
  const place = useRef<HTMLDivElement>(null);
  const wanted = mapped.value;
  useEffect(() => {
    if (!wanted || !place.current) return;
    const element = place.current;
    void import("./map")
      .then((m) => m.show(element))
      .catch(() => (element.textContent = t("console.map_failed")));
  }, [wanted]);
  return (
    <section class="pane map" aria-label={t("console.map")}>
      {wanted ? (
        <div ref={place} class="map-place" />
      ) : (
        <button type="button" class="button wide" data-do="map" onClick={() => (mapped.value = true)}>
          {t("console.map")} <kbd>m</kbd>
        </button>
      )}
    </section>
  );
}

function Console() {
  return (
    <>
      <Queue help={() => (helping.value = true)} />
      <section class="pane detail" aria-label={t("console.incident")}>
        {calling.value ? <Call /> : <IncidentPane />}
      </section>
      <MapPane />
      {helping.value && <Help close={() => (helping.value = false)} />}
    </>
  );
}

const root = document.getElementById("console");
if (root) {
  root.replaceChildren();
  render(<Console />, root);
  open.subscribe((detail) => root.classList.toggle("has-open", detail !== null || calling.value));
  calling.subscribe((taking) => root.classList.toggle("has-open", taking || open.value !== null));
  listen({ open: () => (helping.value = true), shown: () => helping.value });
  ring();
  onChange(() => void reload());
  keepFresh();
  if (location.hash === "#call") calling.value = true;
  else if (location.hash.length > 1) void show(location.hash.slice(1));
}
leaveForms();
live();
