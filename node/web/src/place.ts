// Where the phone is: whatever is known now, better later. Nothing waits for it.
import { distance } from "./format";
import { t } from "./page";

export interface Fix {
  lat: number;
  lon: number;
  accuracy_m: number;
  at_ms: number;
}

const KEPT = "cuadra.fix";
const FIX_AGE_MS_MAX = 10 * 60_000;
let best: Fix | null = null;
let watching = false;
const hopeful = new Set<(fix: Fix) => void>();

/** The newest position, if it is not too old to help. */
export function lastFix(): Fix | null {
  if (!best) {
    try {
      best = JSON.parse(localStorage.getItem(KEPT) ?? "null") as Fix | null;
    } catch {
      best = null;
    }
  }
  return best && Date.now() - best.at_ms < FIX_AGE_MS_MAX ? best : null;
}

export function onFix(listener: (fix: Fix) => void): () => void {
  hopeful.add(listener);
  return () => hopeful.delete(listener);
}

function keep(position: GeolocationPosition): void {
  best = {
    lat: position.coords.latitude,
    lon: position.coords.longitude,
    accuracy_m: Math.ceil(position.coords.accuracy),
    at_ms: Date.now(),
  };
  try {
    localStorage.setItem(KEPT, JSON.stringify(best));
  } catch {
    // A full or forbidden storage costs only the memory of this position.
  }
  for (const listener of hopeful) listener(best);
}

/** Starts following the position; asks the person if they have not been asked. */
export function follow(refused?: () => void): void {
  if (watching || !("geolocation" in navigator)) {
    if (!watching) refused?.();
    return;
  }
  watching = true;
  const failed = () => {
    watching = false;
    refused?.();
  };
  navigator.geolocation.watchPosition(keep, failed, {
    enableHighAccuracy: true,
    maximumAge: 30_000,
    timeout: 60_000,
  });
}

/** True once the person has allowed positions on this page. */
export async function allowed(): Promise<boolean> {
  try {
    return (await navigator.permissions.query({ name: "geolocation" })).state === "granted";
  } catch {
    return false;
  }
}

/** Forms with a place: a button, and hidden fields that it fills. */
export function locateForms(): void {
  for (const box of document.querySelectorAll<HTMLElement>("[data-locate]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button wide";
    button.textContent = t("place.use");
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    said.className = "small";
    box.append(button, said);
    const fill = (fix: Fix) => {
      for (const name of ["lat", "lon", "accuracy_m"] as const) {
        const field = box.querySelector<HTMLInputElement>(`[name=${name}]`);
        if (field) field.value = String(fix[name]);
      }
      said.textContent = t("place.found", distance(fix.accuracy_m));
      button.hidden = true;
    };
    const start = () => {
      said.textContent = t("place.finding");
      onFix(fill);
      follow(() => (said.textContent = t("place.refused")));
    };
    button.addEventListener("click", start);
    if ("locateNow" in box.dataset) void allowed().then((yes) => yes && start());
  }
}
