// A form made from the contract: a select for a category, a number field with its range and unit.

import { byId, element, number } from "./dom.js";

export function showForm(contract) {
  byId("fields").replaceChildren(...contract.columns.map(field));
  fillIn(contract.example);
}

export function fillIn(record) {
  for (const input of inputs()) {
    const value = record[input.name];
    input.value = value === null || value === undefined ? "" : String(value);
  }
  showErrors([]);
}

// Empty fields are values that are not known. Numbers go as numbers, the rest as text.
export function readForm(contract) {
  const record = {};
  for (const column of contract.columns) {
    const value = byId(fieldId(column.name)).value.trim();
    if (value === "") record[column.name] = null;
    else record[column.name] = column.type === "number" && isNumber(value) ? Number(value) : value;
  }
  return record;
}

const isNumber = (text) => Number.isFinite(Number(text));
const inputs = () => byId("fields").querySelectorAll("input, select");
const fieldId = (name) => `field-${name}`;

export function showErrors(details) {
  const wrong = new Map(details.map((detail) => [detail.column, detail]));
  for (const input of inputs()) {
    const detail = wrong.get(input.name);
    const said = byId(`${input.id}-error`);
    said.textContent = detail ? `Got ${detail.value || "nothing"}; allowed: ${detail.allowed}.` : "";
    input.setAttribute("aria-invalid", detail ? "true" : "false");
  }
  const first = [...inputs()].find((input) => wrong.has(input.name));
  if (first) first.focus();
}

function field(column) {
  const id = fieldId(column.name);
  const words = hint(column);
  const described = `${id}-hint ${id}-error`;
  const shared = { id, name: column.name, "aria-describedby": described, autocomplete: "off" };
  if (column.required) shared["aria-required"] = "true";
  const unit = column.unit ? element("span", { class: "unit" }, ` (${column.unit})`) : null;
  return element(
    "div",
    { class: "field" },
    element("label", { for: id }, column.name, unit),
    control(column, shared),
    element("small", { id: `${id}-hint` }, words),
    element("p", { id: `${id}-error`, class: "error" }),
  );
}

function control(column, shared) {
  if (column.categories?.length && !column.isOpen) return select(column, shared);
  if (column.categories?.length) return suggestions(column, shared);
  if (column.type === "number") {
    const mode = column.integer && !(column.min < 0) ? "numeric" : "decimal";
    return element("input", { ...shared, type: "text", inputmode: mode, spellcheck: "false" });
  }
  return element("input", { ...shared, type: "text", placeholder: column.format ?? "" });
}

function select(column, shared) {
  const options = column.categories.map((category) => element("option", { value: category }, category));
  const unknown = element("option", { value: "" }, column.required ? "choose" : "not known");
  return element("select", shared, unknown, ...options);
}

// Long lists of categories are typed, with suggestions: other values are answered too.
function suggestions(column, shared) {
  const list = `${shared.id}-list`;
  const options = column.categories.map((category) => element("option", { value: category }));
  return element(
    "span",
    {},
    element("input", { ...shared, type: "text", list }),
    element("datalist", { id: list }, ...options),
  );
}

function hint(column) {
  const words = [];
  if (column.description) words.push(column.description);
  const low = column.min ?? null;
  const high = column.max ?? null;
  const shown = (value) => number(value, 9);
  if (low !== null && high !== null) words.push(`${shown(low)} to ${shown(high)}`);
  else if (low !== null) words.push(`at least ${shown(low)}`);
  else if (high !== null) words.push(`at most ${shown(high)}`);
  if (column.integer) words.push("whole number");
  words.push(column.required ? "required" : "may be left empty");
  return words.join("; ");
}
