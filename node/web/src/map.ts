// The console's map: the communes as base, the incidents of the queue on it. MapLibre where the
// computer can, a plain drawing where it cannot; both say the same.
import { effect } from "@preact/signals";
import type { FeatureCollection, Geometry } from "geojson";
import type { Incident } from "./api";
import { ask } from "./api";
import { rows } from "./desk";
import { t } from "./page";

export interface CommuneProperties {
  code: string;
  name: string;
  label?: [number, number];
}
export type Communes = FeatureCollection<Geometry, CommuneProperties>;

const MARKERS_MAX = 300;

/** The incidents to draw: those of the queue that have a place. */
export function drawn(): Incident[] {
  return rows.value.filter((i) => i.point !== null).slice(0, MARKERS_MAX);
}

function hasWebGl(): boolean {
  try {
    return document.createElement("canvas").getContext("webgl2") !== null;
  } catch {
    return false;
  }
}

export async function show(place: HTMLElement): Promise<void> {
  place.textContent = t("console.loading");
  const communes = await ask<Communes>("GET", "/api/v1/territory");
  place.textContent = "";
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", t("console.map_label"));
  if (hasWebGl()) {
    try {
      const { draw } = await import("./glmap");
      await draw(place, communes, effect);
      return;
    } catch {
      place.textContent = "";
    }
  }
  const { draw } = await import("./plainmap");
  draw(place, communes, effect);
}
