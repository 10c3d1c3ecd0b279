// The registry's versions: which one serves, how each did on the test part, and its verdict.

import { byId, element, getJson, number } from "./dom.js";

export async function showVersions() {
  const place = byId("versions-table");
  try {
    const { versions } = await getJson("versions");
    place.replaceChildren(versions.length ? table(versions) : element("p", { class: "empty" }, "There is no version yet."));
  } catch (error) {
    place.replaceChildren(element("p", { class: "failure" }, error.message));
  }
}

function table(versions) {
  const names = [...new Set(versions.flatMap((version) => Object.keys(version.metrics)))].slice(0, 3);
  const head = ["version", "names", ...names, "trained", "verdict"];
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...head.map((word) => element("th", { scope: "col" }, word)))),
    element("tbody", {}, ...versions.map((version) => row(version, names))),
  );
}

function row(version, names) {
  const marks = version.aliases.map((alias) => element("span", { class: "mark" }, alias));
  const serves = version.serves ? [element("span", { class: "mark" }, "serves here")] : [];
  const metrics = names.map((name) => element("td", { class: "number" }, metric(version.metrics[name])));
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, version.version),
    element("td", {}, ...[...marks, ...serves].flatMap((mark) => [mark, " "])),
    ...metrics,
    element("td", {}, (version.created_at ?? "").slice(0, 10)),
    element("td", { class: version.accepted ? "pass" : "fail" }, version.verdict),
  );
}

const metric = (one) => (one ? `${number(one.value, 4)} [${number(one.low, 4)}, ${number(one.high, 4)}]` : "–");
