// The pages of figures: parts that stay current, and the map of communes.
import { choropleth } from "./choropleth";
import { leaveForms } from "./forms";
import { keepFresh, live } from "./live";

leaveForms();
keepFresh();
live();
const place = document.getElementById("choropleth");
if (place) void choropleth(place);
