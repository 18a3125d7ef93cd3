// The map without WebGL: the communes as one drawing, the incidents as buttons on it.
import type { effect as Effect } from "@preact/signals";
import { geoMercator, geoPath } from "d3-geo";
import { callPoint, marking, open, ownCodes } from "./desk";
import { drawn, type Communes } from "./map";
import { dress, marker } from "./marker";
import { t } from "./page";

const SVG = "http://www.w3.org/2000/svg";
const SIDE = 600;

export function draw(place: HTMLElement, communes: Communes, effect: typeof Effect): void {
  const own = communes.features.filter((f) => ownCodes.has(f.properties.code));
  const framed: Communes = { ...communes, features: own.length > 0 ? own : communes.features };
  const projection = geoMercator().fitExtent(
    [
      [40, 40],
      [SIDE - 40, SIDE - 40],
    ],
    framed,
  );
  const path = geoPath(projection).digits(1);
  const sheet = document.createElement("div");
  sheet.className = "plain-map";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${SIDE} ${SIDE}`);
  svg.setAttribute("aria-hidden", "true");
  for (const f of communes.features) {
    const shape = document.createElementNS(SVG, "path");
    shape.setAttribute("d", path(f) ?? "");
    shape.setAttribute("class", ownCodes.has(f.properties.code) ? "own" : "other");
    svg.append(shape);
  }
  for (const f of communes.features) {
    const at = f.properties.label ? projection(f.properties.label) : path.centroid(f);
    if (!at) continue;
    const name = document.createElementNS(SVG, "text");
    name.setAttribute("x", at[0].toFixed(1));
    name.setAttribute("y", at[1].toFixed(1));
    name.textContent = f.properties.name;
    svg.append(name);
  }
  const note = document.createElement("p");
  note.className = "small";
  note.textContent = t("console.map_no_gl");
  sheet.append(svg);
  place.append(sheet, note);

  sheet.addEventListener("click", (event) => {
    if (!marking.value) return;
    const frame = svg.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * SIDE;
    const y = ((event.clientY - frame.top) / frame.height) * SIDE;
    const at = projection.invert?.([x, y]);
    if (at) callPoint.value = { lon: at[0], lat: at[1] };
  });
  const put = (element: HTMLElement, lon: number, lat: number) => {
    const at = projection([lon, lat]);
    if (!at) return;
    element.style.setProperty("left", `${(at[0] / SIDE) * 100}%`);
    element.style.setProperty("top", `${(at[1] / SIDE) * 100}%`);
  };
  const pin = Object.assign(document.createElement("span"), { className: "pin placed" });
  effect(() => {
    const point = marking.value ? callPoint.value : null;
    if (!point) return pin.remove();
    put(pin, point.lon, point.lat);
    sheet.append(pin);
  });
  const shown = new Map<string, HTMLButtonElement>();
  effect(() => {
    const incidents = drawn();
    const keep = new Set(incidents.map((i) => i.id));
    for (const [id, old] of shown) {
      if (keep.has(id)) continue;
      old.remove();
      shown.delete(id);
    }
    for (const i of incidents) {
      const one = shown.get(i.id) ?? marker();
      shown.set(i.id, one);
      dress(one, i, i.id === open.value?.incident.id);
      if (i.point) put(one, i.point.lon, i.point.lat);
      if (!one.isConnected) sheet.append(one);
    }
  });
}
