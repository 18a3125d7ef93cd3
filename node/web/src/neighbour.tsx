// The neighbour's pages: the red button, the outbox, and parts that stay current.
import { render } from "preact";
import { Box } from "./box";
import { enterForm, leaveForms, photoForm, reportForm } from "./forms";
import { keepFresh, live } from "./live";
import { resume } from "./outbox";
import { locateForms } from "./place";
import { sos } from "./sos";

sos();
const box = document.getElementById("box");
if (box) render(<Box />, box);
resume();
reportForm();
photoForm();
enterForm();
leaveForms();
locateForms();
keepFresh();
live();
document.querySelector<HTMLElement>("[data-focus]")?.focus();
if ("serviceWorker" in navigator) void navigator.serviceWorker.register("/sw.js").catch(() => undefined);
