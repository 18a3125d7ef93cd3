// The communes coloured by a measure, drawn as SVG. Every commune leads to its row of the table.
import { geoMercator, geoPath } from "d3-geo";
import type { Feature, FeatureCollection, Geometry } from "geojson";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import type { TerritoryFigure } from "./api";
import { decimal, number } from "./format";
import { data, t } from "./page";

interface Commune {
  name: string;
  region: string;
}
type Shape = Feature<Geometry, Commune>;

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const HEIGHT = 560;
const CLASSES = 6;
/** Islands far out in the ocean, left out of the frame of the whole country (not of the drawing). */
const FAR = new Set(["CL-05201", "CL-05104"]);
/** Names are written only where they stay apart. */
const NAMED_MAX = 40;

const MEASURES: Record<string, { value: (f: TerritoryFigure) => number; words: (n: number) => string }> = {
  compliance: { value: (f) => f.compliance_percent, words: (n) => `${decimal(n)}\u00a0%` },
  reports: { value: (f) => f.reports, words: number },
  open: { value: (f) => f.open_now, words: number },
  rate: { value: (f) => (f.population > 0 ? (f.reports * 1000) / f.population : 0), words: decimal },
};

function element<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Record<string, string>,
  ...children: (SVGElement | string)[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The lower bound of each class: as many communes in each as can be. */
function bounds(values: number[]): number[] {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const classes = Math.min(CLASSES, distinct.length);
  return Array.from(
    { length: classes },
    (_, k) => distinct[Math.floor((k * distinct.length) / classes)] ?? 0,
  );
}

/** Few classes take colours from the whole ramp; where all are equal nobody stands out. */
function colour(place: number, classes: number): string {
  return `f${classes < 2 ? 0 : Math.round((place * (CLASSES - 1)) / (classes - 1))}`;
}

function classOf(value: number, lower: number[]): number {
  let place = 0;
  lower.forEach((bound, k) => {
    if (value >= bound) place = k;
  });
  return place;
}

export async function choropleth(place: HTMLElement): Promise<void> {
  const empty = place.querySelector("p");
  let shapes: Shape[];
  try {
    const answer = await fetch(place.dataset["map"] ?? "");
    const topology = (await answer.json()) as Topology<{ communes: GeometryCollection<Commune> }>;
    shapes = feature(topology, topology.objects.communes).features as Shape[];
  } catch {
    if (empty) empty.textContent = t("country.map_failed");
    return;
  }
  let measure = "compliance";
  let whole = false;
  const drawing = document.createElement("div");
  const draw = () => {
    const figures = data<TerritoryFigure[]>("figures-data") ?? [];
    drawing.replaceChildren(...picture(shapes, figures, measure, whole || figures.length === 0));
  };
  place.replaceChildren(
    tools(
      (chosen) => {
        measure = chosen;
        draw();
      },
      (all) => {
        whole = all;
        draw();
      },
    ),
    drawing,
  );
  draw();
  document.addEventListener("refreshed", draw);
}

function tools(choose: (measure: string) => void, zoom: (whole: boolean) => void): HTMLElement {
  const bar = document.createElement("div");
  bar.className = "map-tools no-print";
  const label = document.createElement("label");
  const select = document.createElement("select");
  for (const name of Object.keys(MEASURES)) select.add(new Option(t(`measure.${name}`), name));
  select.addEventListener("change", () => choose(select.value));
  label.append(`${t("country.measure")} `, select);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = t("country.zoom_all");
  let whole = false;
  button.addEventListener("click", () => {
    whole = !whole;
    button.textContent = t(whole ? "country.zoom_here" : "country.zoom_all");
    zoom(whole);
  });
  bar.append(label, button);
  return bar;
}

function picture(shapes: Shape[], figures: TerritoryFigure[], name: string, whole: boolean): Element[] {
  const measure = MEASURES[name];
  if (!measure) return [];
  const byCode = new Map(figures.map((f) => [f.code, f]));
  const framed = shapes.filter((s) => (whole ? !FAR.has(String(s.id)) : byCode.has(String(s.id))));
  const frame: FeatureCollection<Geometry, Commune> = { type: "FeatureCollection", features: framed };
  const margin = whole ? 8 : 32;
  const projection = geoMercator().fitExtent(
    [
      [margin, margin],
      [WIDTH - margin, HEIGHT - margin],
    ],
    frame,
  );
  const path = geoPath(projection).digits(1);
  const lower = bounds(figures.map(measure.value));
  const svg = element("svg", {
    class: "communes",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "group",
    "aria-label": t("country.map_label", t(`measure.${name}`)),
  });
  const names: SVGElement[] = [];
  const placed: Box[] = [];
  const links: SVGElement[] = [];
  for (const shape of shapes) {
    const [[left, top], [right, bottom]] = path.bounds(shape);
    if (right < 0 || bottom < 0 || left > WIDTH || top > HEIGHT) continue;
    const outline = path(shape) ?? "";
    const figure = byCode.get(String(shape.id));
    if (!figure) {
      svg.append(
        element(
          "path",
          { d: outline },
          element("title", {}, `${shape.properties.name}: ${t("country.no_data")}`),
        ),
      );
      continue;
    }
    const value = measure.value(figure);
    const words = `${figure.name}: ${measure.words(value)}`;
    const drawn = element("path", { d: outline, class: colour(classOf(value, lower), lower.length) });
    const title = element("title", {}, words);
    links.push(element("a", { href: `#t-${figure.code}`, "aria-label": words }, title, drawn));
    if (!whole && figures.length <= NAMED_MAX) {
      const [x, middle] = path.centroid(shape);
      const y = apart(x, middle, figure.name.length, placed);
      const line = (text: string, down: number, kind: string) =>
        element("tspan", { x: x.toFixed(1), y: (y + down).toFixed(1), class: kind }, text);
      names.push(element("text", {}, line(figure.name, 0, "name"), line(measure.words(value), 16, "figure")));
    }
  }
  svg.append(...links, ...names);
  return [svg, legend(lower, measure.words)];
}

interface Box {
  x: number;
  y: number;
  width: number;
}

/** A height near `y` at which a name of so many letters covers no other. */
function apart(x: number, y: number, letters: number, placed: Box[]): number {
  const width = letters * 8;
  const free = (at: number) =>
    placed.every((b) => Math.abs(b.x - x) > (b.width + width) / 2 || Math.abs(b.y - at) > 34);
  const found = [0, 20, -20, 36, -36].find((by) => free(y + by)) ?? 0;
  placed.push({ x, y: y + found, width });
  return y + found;
}

function legend(lower: number[], words: (n: number) => string): HTMLElement {
  const list = document.createElement("ul");
  list.className = "legend";
  lower.forEach((bound, k) => {
    const item = document.createElement("li");
    const next = lower[k + 1];
    const square = element("rect", { width: "16", height: "16", class: colour(k, lower.length) });
    const text = next === undefined ? `${words(bound)} +` : `${words(bound)} – ${words(next)}`;
    item.append(
      element("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, square),
      lower.length > 1 ? text : words(bound),
    );
    list.append(item);
  });
  return list;
}
