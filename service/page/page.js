// The page of one model: everything on it is made from the contract that the service tells.

import { predictOne } from "./answer.js";
import { prepareBatch } from "./batch.js";
import { byId, element, getJson } from "./dom.js";
import { fillIn, showForm } from "./form.js";
import { showVersions } from "./versions.js";

async function start() {
  const contract = readable(await getJson("contract"));
  document.title = contract.title;
  byId("title").textContent = contract.title;
  byId("about").textContent = about(contract.target);
  byId("served").textContent = `Served: ${contract.model_version}.`;
  showForm(contract);
  prepareBatch(contract);
  byId("example").addEventListener("click", () => fillIn(contract.example));
  byId("record").addEventListener("submit", (event) => {
    event.preventDefault();
    predictOne(contract).catch((error) => unreachable(error));
  });
}

// A list of columns. Categories are closed only where the contract refuses others, or names few.
function readable(contract) {
  const columns = Object.entries(contract.columns).map(([name, column]) => {
    const categories = column.categories ?? column.known_categories ?? [];
    return { ...column, name, categories, isOpen: !column.categories };
  });
  return { ...contract, columns };
}

function about(target) {
  const unit = target.unit ? ` (${target.unit})` : "";
  if (target.description) return `${target.description}${unit}.`;
  return target.column ? `Predicts ${target.column}${unit}.` : "";
}

function unreachable(error) {
  byId("answer").replaceChildren(element("h2", {}, "Answer"), element("p", { class: "failure", role: "alert" }, `No answer: ${error.message}`));
}

start().catch((error) => {
  byId("title").textContent = "No model is served";
  byId("about").textContent = error.message;
  byId("record").hidden = true;
});
showVersions();
