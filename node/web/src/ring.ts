// The sound of a new alarm. Browsers let a page sound only after somebody touched it.
import { effect, signal } from "@preact/signals";
import { ringing } from "./desk";

const WANTED = "cuadra.sound";
const EVERY_MS = 2_000;

export const wanted = signal(localStorage.getItem(WANTED) !== "off");
/** True once the browser lets us sound. */
export const ready = signal(false);
let sound: AudioContext | null = null;

function wake(): void {
  sound ??= new AudioContext();
  void sound.resume().then(() => (ready.value = sound?.state === "running"));
}

export function toggleSound(): void {
  wanted.value = !(wanted.value && ready.value);
  localStorage.setItem(WANTED, wanted.value ? "on" : "off");
  wake();
}

function tone(at: number, hertz: number): void {
  if (!sound) return;
  const oscillator = sound.createOscillator();
  const gain = sound.createGain();
  oscillator.frequency.value = hertz;
  oscillator.type = "triangle";
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(0.4, at + 0.02);
  gain.gain.setValueAtTime(0.4, at + 0.22);
  gain.gain.linearRampToValueAtTime(0, at + 0.28);
  oscillator.connect(gain).connect(sound.destination);
  oscillator.start(at);
  oscillator.stop(at + 0.3);
}

export function ring(): void {
  for (const gesture of ["pointerdown", "keydown"])
    addEventListener(gesture, wake, { once: true, capture: true });
  let timer = 0;
  effect(() => {
    const on = wanted.value && ready.value && ringing.value.length > 0;
    clearInterval(timer);
    if (!on) return;
    const once = () => {
      if (!sound) return;
      tone(sound.currentTime, 880);
      tone(sound.currentTime + 0.32, 660);
      tone(sound.currentTime + 0.64, 880);
    };
    once();
    timer = window.setInterval(once, EVERY_MS);
  });
  const title = document.title.replace(/^\(\d+\) /, "");
  effect(() => {
    document.title = ringing.value.length > 0 ? `(${ringing.value.length}) ${title}` : title;
  });
}
