// Small help for forms that work without it: photos made smaller before they are sent, codes taken
// out of the address, reports kept in the outbox.
import { outbox, raise } from "./outbox";
import { refresh } from "./live";
import { refused } from "./api";
import { page, t } from "./page";
import type { Fix } from "./place";

const PHOTO_SIDE_MAX = 1_600;

export function reportForm(): void {
  const form = document.querySelector<HTMLFormElement>("form[data-report]");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = new FormData(form);
    const text = (name: string) => String(fields.get(name) ?? "");
    const fix: Fix | null = text("lat")
      ? {
          lat: Number(text("lat")),
          lon: Number(text("lon")),
          accuracy_m: Number(text("accuracy_m")) || 50,
          at_ms: Date.now(),
        }
      : null;
    const alert = raise({
      kind: text("kind"),
      text: text("text").trim(),
      silent: fields.has("silent"),
      visibility: text("visibility") || null,
      fix,
    });
    form.hidden = true;
    document.getElementById("box")?.scrollIntoView({ block: "nearest" });
    const stop = outbox.subscribe((entries) => {
      const entry = entries.find((k) => k.alert === alert);
      if (entry?.final) form.hidden = false;
      if (entry?.stored && page.role === "resident") location.assign(`/alerts/${entry.stored.id}`);
      if (!entry || entry.stored || entry.final) queueMicrotask(() => stop());
    });
  });
}

/** The same picture, no larger than anybody needs, without its hidden data. */
export async function smaller(file: File): Promise<Blob> {
  try {
    const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, PHOTO_SIDE_MAX / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(picture.width * scale);
    canvas.height = Math.round(picture.height * scale);
    canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.82));
    return blob && blob.size < file.size ? blob : file;
  } catch {
    return file;
  }
}

export function photoForm(): void {
  const form = document.querySelector<HTMLFormElement>("form[data-photo]");
  const said = form?.querySelector<HTMLElement>("[data-said]");
  const button = form?.querySelector("button");
  const input = form?.querySelector<HTMLInputElement>("input[type=file]");
  if (!form || !said || !button || !input) return;
  form.addEventListener("submit", (event) => {
    const file = input.files?.[0];
    if (!file) return;
    event.preventDefault();
    button.disabled = true;
    void smaller(file).then((blob) => {
      const body = new FormData();
      body.append("file", blob, "photo.jpg");
      const request = new XMLHttpRequest();
      request.open("POST", `/api/v1${new URL(form.action).pathname}`);
      request.setRequestHeader("accept", "application/json");
      request.upload.onprogress = (p) => {
        if (p.lengthComputable) said.textContent = `${Math.round((p.loaded / p.total) * 100)} %`;
      };
      const failed = () => {
        const problem = refused(request.status, request.responseText);
        said.textContent = `${problem.title}. ${problem.detail}`;
        button.disabled = false;
      };
      request.onload = () => {
        if (request.status !== 201) return failed();
        said.textContent = t("box.stored");
        form.reset();
        button.disabled = false;
        refresh();
      };
      request.onerror = failed;
      request.send(body);
    });
  });
}

/** A sign-in link carries its code behind `#`, which no server and no log sees. */
export function enterForm(): void {
  const input = document.querySelector<HTMLInputElement>("form[data-enter] input[name=code]");
  const code = decodeURIComponent(location.hash.slice(1));
  if (!input || !code) return;
  input.value = code;
  history.replaceState(null, "", location.pathname);
  input.form?.querySelector("button")?.focus();
}

export function leaveForms(): void {
  for (const form of document.querySelectorAll("form[data-leave]")) {
    form.addEventListener("submit", () => {
      navigator.serviceWorker?.controller?.postMessage("forget");
    });
  }
}
