// The pages of figures: parts that stay current, and the map of communes.
import { choropleth } from "./choropleth";
import { leaveForms } from "./forms";
import { live, onChange, refresh } from "./live";

leaveForms();
if (document.querySelector("[data-live]")) onChange(() => refresh());
live();
const place = document.getElementById("choropleth");
if (place) void choropleth(place);
