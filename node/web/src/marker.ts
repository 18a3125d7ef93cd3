// One incident on a map: a button with its state's shape and colour, and its kind in words.
import icons from "../icons/icons.json";
import type { Incident } from "./api";
import { show } from "./desk";
import { t, word } from "./page";

const set = icons as Record<string, string>;

export function marker(): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    const id = button.dataset["id"];
    if (id) void show(id);
  });
  return button;
}

export function dress(button: HTMLButtonElement, i: Incident, current: boolean): void {
  const classes = ["marker", `is-${i.status}`];
  if (i.ringing) classes.push("ringing");
  if (!i.point_exact) classes.push("approximate");
  if (current) classes.push("current");
  const look = classes.join(" ");
  if (button.dataset["look"] === look && button.dataset["id"] === i.id) return;
  button.dataset["look"] = look;
  button.dataset["id"] = i.id;
  for (const name of [...button.classList]) if (!name.startsWith("maplibregl")) button.classList.remove(name);
  button.classList.add(...classes);
  const words = [word("kind", i.kind), i.short, word("status", i.status), i.place];
  if (!i.point_exact) words.push(t("console.approximate"));
  button.setAttribute("aria-label", words.join(", "));
  button.title = words.join(" · ");
  // The drawings are our own file, not anybody's words.
  button.innerHTML = `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${set[i.kind] ?? set["other"] ?? ""}</svg>`;
}
