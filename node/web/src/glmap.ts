// The map drawn by MapLibre, from the communes alone: no tiles, nothing from elsewhere.
import type { effect as Effect } from "@preact/signals";
import { LngLatBounds, Map as Gl, Marker, setWorkerUrl } from "maplibre-gl";
import type { StyleSpecification } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import { callPoint, marking, open, ownCodes } from "./desk";
import { drawn, type Communes } from "./map";
import { dress, marker } from "./marker";
import { t } from "./page";

/** A computer that has not drawn the map by then is better off with the plain one. */
const LOAD_MS_MAX = 12_000;
/** From this zoom on the communes carry their names. */
const NAMES_ZOOM = 10;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function style(communes: Communes): StyleSpecification {
  return {
    version: 8,
    sources: { communes: { type: "geojson", data: communes, tolerance: 0.1 } },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": colour("--ground") } },
      {
        id: "communes",
        type: "fill",
        source: "communes",
        paint: {
          "fill-color": [
            "case",
            ["in", ["get", "code"], ["literal", [...ownCodes]]],
            colour("--accent-soft"),
            colour("--paper"),
          ],
        },
      },
      {
        id: "borders",
        type: "line",
        source: "communes",
        paint: {
          "line-color": colour("--line-strong"),
          "line-width": ["case", ["in", ["get", "code"], ["literal", [...ownCodes]]], 2, 0.8],
        },
      },
    ],
  };
}

function bounds(communes: Communes): LngLatBounds {
  const own = communes.features.filter((f) => ownCodes.has(f.properties.code));
  const box = new LngLatBounds();
  const walk = (part: unknown): void => {
    if (!Array.isArray(part)) return;
    if (typeof part[0] === "number") box.extend([part[0], part[1] as number]);
    else for (const inner of part) walk(inner);
  };
  for (const f of own.length > 0 ? own : communes.features) {
    if (f.geometry && "coordinates" in f.geometry) walk(f.geometry.coordinates);
  }
  return box;
}

export async function draw(place: HTMLElement, communes: Communes, effect: typeof Effect): Promise<void> {
  setWorkerUrl(workerUrl);
  const box = bounds(communes);
  const gl = new Gl({
    container: place,
    style: style(communes),
    bounds: box,
    fitBoundsOptions: { padding: 24 },
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    fadeDuration: 0,
    maxZoom: 17,
  });
  gl.touchZoomRotate.disableRotation();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => gl.setStyle(style(communes)));

  const all = document.createElement("button");
  all.type = "button";
  all.className = "button small map-all";
  all.textContent = t("console.map_all");
  all.addEventListener("click", () => gl.fitBounds(box, { padding: 24, animate: false }));
  place.append(all);

  for (const f of communes.features) {
    if (!f.properties.label) continue;
    const name = document.createElement("span");
    name.className = "commune-name";
    name.textContent = f.properties.name;
    new Marker({ element: name }).setLngLat(f.properties.label).addTo(gl);
  }
  const names = () => place.classList.toggle("no-names", gl.getZoom() < NAMES_ZOOM);
  gl.on("zoom", names);
  names();

  gl.on("click", (event) => {
    if (marking.value) callPoint.value = { lat: event.lngLat.lat, lon: event.lngLat.lng };
  });
  const pin = new Marker({
    element: Object.assign(document.createElement("span"), { className: "pin" }),
    anchor: "bottom",
  });
  const stopPin = effect(() => {
    const point = marking.value ? callPoint.value : null;
    if (point) pin.setLngLat([point.lon, point.lat]).addTo(gl);
    else pin.remove();
  });

  const shown = new Map<string, Marker>();
  const stopMarkers = effect(() => {
    const incidents = drawn();
    const current = open.value?.incident.id;
    const keep = new Set(incidents.map((i) => i.id));
    for (const [id, old] of shown) {
      if (keep.has(id)) continue;
      old.remove();
      shown.delete(id);
    }
    for (const i of incidents) {
      if (!i.point) continue;
      let one = shown.get(i.id);
      if (!one) {
        one = new Marker({ element: marker() }).setLngLat([i.point.lon, i.point.lat]).addTo(gl);
        shown.set(i.id, one);
      }
      one.setLngLat([i.point.lon, i.point.lat]);
      dress(one.getElement() as HTMLButtonElement, i, i.id === current);
    }
  });
  let last = "";
  const stopFollow = effect(() => {
    const point = open.value?.incident.point;
    const id = open.value?.incident.id ?? "";
    if (!point || id === last) return;
    last = id;
    if (!gl.getBounds().contains([point.lon, point.lat]))
      gl.easeTo({ center: [point.lon, point.lat], duration: 300 });
  });
  await new Promise<void>((done, failed) => {
    const late = setTimeout(() => failed(new Error("late")), LOAD_MS_MAX);
    gl.once("load", () => {
      clearTimeout(late);
      done();
    });
    gl.once("error", (event) => failed(event.error));
  }).catch((cause: unknown) => {
    for (const stop of [stopPin, stopMarkers, stopFollow]) stop();
    gl.remove();
    throw cause;
  });
}
