// The answer: in words, drawn, and what moved it.

import { byId, drawn, element, failureOf, number, percent } from "./dom.js";
import { readForm, showErrors } from "./form.js";

const WIDTH = 440;
const MAX_BARS = 12;

export async function predictOne(contract) {
  const record = readForm(contract);
  const [answered, explained] = await Promise.all([post("predict", record), post("explain", record)]);
  if (!answered.ok) {
    show(element("p", { class: "failure", role: "alert" }, await sentence(answered)));
    return;
  }
  showErrors([]);
  const answer = await answered.json();
  const explanation = explained.ok ? await explained.json() : null;
  show(...(answer.probabilities ? classes(contract, answer) : value(answer)), ...warnings(answer), ...moved(contract, explanation), served(answer));
  byId("answer").focus({ preventScroll: false });
}

function post(path, record) {
  const headers = { "content-type": "application/json" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(record) });
}

async function sentence(answer) {
  const copy = answer.clone();
  try {
    const { error } = await answer.json();
    showErrors(error.details ?? []);
    return error.message;
  } catch {
    return failureOf(copy);
  }
}

function show(...parts) {
  byId("answer").replaceChildren(element("h2", {}, "Answer"), ...parts);
}

function classes(contract, answer) {
  const rows = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  const said = `${answer.prediction}, probability ${percent(answer.confidence)}`;
  const parts = [
    element("p", { class: "headline" }, answer.prediction),
    element("p", {}, `Probability ${percent(answer.confidence)}.`),
    bars(rows.slice(0, MAX_BARS), said),
  ];
  if (contract.positive) {
    const words = `The model says “${contract.positive}” from a probability of ${percent(answer.threshold)}.`;
    parts.push(element("p", { class: "empty" }, words));
  }
  return parts;
}

function bars(rows, label) {
  const height = 30;
  const whole = WIDTH - 190;
  const lines = rows.map(([name, share], place) => {
    const y = place * height;
    return drawn(
      "g",
      {},
      drawn("text", { x: 0, y: y + 19 }, clipped(name, 16)),
      drawn("rect", { class: "track", x: 120, y: y + 6, width: whole, height: 18, rx: 3 }),
      drawn("rect", { class: "bar", x: 120, y: y + 6, width: Math.max(1, whole * share), height: 18, rx: 3 }),
      drawn("text", { x: WIDTH, y: y + 19, "text-anchor": "end" }, percent(share)),
    );
  });
  return plot(rows.length * height, label, lines);
}

function value(answer) {
  const unit = answer.unit ? ` ${answer.unit}` : "";
  const parts = [element("p", { class: "headline" }, `${number(answer.prediction)}${unit}`)];
  if (answer.interval) {
    const [low, high] = answer.interval;
    const words = `${percent(answer.interval_level)} of such rows lie between ${number(low)} and ${number(high)}${unit}.`;
    parts.push(element("p", {}, words), interval(answer.prediction, low, high, words));
  }
  return parts;
}

function interval(prediction, low, high, label) {
  const margin = (high - low) * 0.25 || 1;
  const x = (at) => 20 + ((at - low + margin) / (high - low + 2 * margin)) * (WIDTH - 40);
  return plot(58, label, [
    drawn("line", { class: "rule", x1: 20, x2: WIDTH - 20, y1: 22, y2: 22 }),
    drawn("rect", { class: "track", x: x(low), y: 12, width: x(high) - x(low), height: 20, rx: 3 }),
    drawn("circle", { class: "bar", cx: x(prediction), cy: 22, r: 7 }),
    ...[low, prediction, high].map((at) => drawn("text", { x: x(at), y: 52, "text-anchor": "middle" }, number(at, 3))),
  ]);
}

function warnings(answer) {
  return (answer.warnings ?? []).map((warning) =>
    element("p", { class: "warning" }, `${warning.column}: ${warning.message}; the model knows nothing of it.`),
  );
}

function moved(contract, explanation) {
  if (!explanation) return [];
  const all = Object.entries(explanation.contributions).filter(([, by]) => by !== 0);
  all.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const isShare = Boolean(explanation.label);
  const shown = isShare ? percent : (by) => number(by, 3);
  const of = isShare ? `the probability of ${explanation.label}` : "the value";
  const words =
    `For a usual row ${of} is ${shown(explanation.reference_answer)}; ` +
    `here it is ${shown(explanation.answer)}. What each column adds or takes away:`;
  if (all.length === 0) return [element("h3", {}, "What moved it"), element("p", {}, "Nothing: this is the usual row.")];
  const table = contributionBars(all.slice(0, MAX_BARS), isShare, words);
  const rest = all.length > MAX_BARS ? [element("p", { class: "empty" }, `and ${all.length - MAX_BARS} smaller ones`)] : [];
  return [element("h3", {}, "What moved it"), element("p", {}, words), table, ...rest];
}

function contributionBars(rows, isShare, label) {
  const height = 26;
  const middle = 275;
  const largest = Math.max(...rows.map(([, by]) => Math.abs(by)));
  const lines = rows.map(([name, by], place) => {
    const y = place * height;
    const width = Math.max(1, (Math.abs(by) / largest) * 75);
    const words = `${by > 0 ? "+" : "−"}${isShare ? percent(Math.abs(by)) : number(Math.abs(by), 3)}`;
    return drawn(
      "g",
      {},
      drawn("title", {}, `${name}: ${words}`),
      drawn("text", { x: 0, y: y + 17 }, clipped(name, 26)),
      drawn("rect", { class: by > 0 ? "up" : "down", x: by > 0 ? middle : middle - width, y: y + 5, width, height: 16, rx: 2 }),
      drawn("text", { x: WIDTH, y: y + 17, "text-anchor": "end" }, words),
    );
  });
  lines.push(drawn("line", { class: "rule", x1: middle, x2: middle, y1: 0, y2: rows.length * height }));
  return plot(rows.length * height, label, lines);
}

const clipped = (text, size) => (text.length > size ? `${text.slice(0, size - 1)}…` : text);

function plot(height, label, parts) {
  return drawn("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label }, ...parts);
}

function served(answer) {
  return element("p", { class: "empty" }, `Model ${answer.model_version}, request ${answer.request_id}.`);
}
