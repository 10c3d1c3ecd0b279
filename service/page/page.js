// The page of one model: everything on it is made from the contract that the service tells.

import { predictOne } from "./answer.js";
import { prepareBatch } from "./batch.js";
import { byId, element, getJson } from "./dom.js";
import { fillIn, showForm } from "./form.js";
import { showVersions } from "./versions.js";

async function start() {
  const [contract, health] = await Promise.all([getJson("contract"), fetch("health").then((answer) => answer.json())]);
  document.title = contract.title;
  byId("title").textContent = contract.title;
  byId("about").textContent = about(contract.target);
  byId("served").textContent = `Model ${health.model_version}, ${health.status}.`;
  showForm(contract);
  prepareBatch(contract);
  byId("example").addEventListener("click", () => fillIn(contract.example));
  byId("record").addEventListener("submit", (event) => {
    event.preventDefault();
    predictOne(contract).catch((error) => unreachable(error));
  });
}

function about(target) {
  const unit = target.unit ? ` (${target.unit})` : "";
  return target.description ? `${target.description}${unit}.` : `Predicts ${target.column}${unit}.`;
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
