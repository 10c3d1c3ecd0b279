// CSV in, CSV out: the file is sent in parts, so that its size is no limit and progress can be seen.

import { byId, element, failureOf, number } from "./dom.js";
import { quoted, records } from "./csv.js";

const ROWS_A_PART = 2_000;
let isStopped = false;

export function prepareBatch(contract) {
  const rows = contract.columns.map((column) =>
    element("tr", {}, ...[column.name, column.type, column.unit ?? "", column.required ? "required" : ""].map((word) => element("td", {}, word))),
  );
  const head = element("tr", {}, ...["column", "type", "unit", ""].map((word) => element("th", { scope: "col" }, word)));
  byId("columns").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  byId("file").addEventListener("change", () => {
    byId("score").disabled = byId("file").files.length === 0;
  });
  byId("score").addEventListener("click", () => predictFile(byId("file").files[0]));
  byId("stop").addEventListener("click", () => {
    isStopped = true;
  });
}

async function predictFile(file) {
  isStopped = false;
  busy(true);
  byId("download").hidden = true;
  try {
    const [header, ...rows] = [...records((await file.text()).replace(/^\uFEFF/, ""))].filter((line) => line.trim() !== "");
    if (rows.length === 0) throw new Error(`${file.name} has no row below its header.`);
    const answered = await inParts(header, rows);
    offer(file.name, header, rows, answered);
  } catch (error) {
    say(error.message);
  } finally {
    busy(false);
  }
}

async function inParts(header, rows) {
  const answered = [];
  for (let start = 0; start < rows.length && !isStopped; start += ROWS_A_PART) {
    const part = rows.slice(start, start + ROWS_A_PART);
    answered.push(...(await predictPart(header, part)));
    byId("progress").value = answered.length / rows.length;
    say(`${number(answered.length, 9)} of ${number(rows.length, 9)} rows`);
  }
  return answered;
}

async function predictPart(header, part) {
  const body = `${header}\n${part.join("\n")}\n`;
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch("predict?partial=true", { method: "POST", headers: { "content-type": "text/csv" }, body });
    if (answer.ok) return answer.json();
    if (tries === 5 || ![429, 503].includes(answer.status)) throw new Error(await failureOf(answer));
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}

function offer(name, header, rows, answered) {
  const classes = Object.keys(answered.find((answer) => answer.probabilities)?.probabilities ?? {});
  const added = classes.length
    ? ["prediction", "confidence", ...classes.map((one) => `probability ${one}`)]
    : ["prediction", "low", "high"];
  const lines = [`${header},${[...added, "model_version", "error"].map(quoted).join(",")}`];
  answered.forEach((answer, row) => lines.push(`${rows[row]},${cells(answer, classes).map(quoted).join(",")}`));
  const link = byId("download");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  link.download = name.replace(/(\.csv)?$/i, "-predicted.csv");
  link.hidden = false;
  link.focus();
  const nFailed = answered.filter((answer) => answer.error).length;
  const failed = nFailed ? `, ${number(nFailed, 9)} of them with an error in place of an answer` : "";
  say(`${isStopped ? "Stopped after" : "Done:"} ${number(answered.length, 9)} rows${failed}.`);
}

function cells(answer, classes) {
  if (answer.error) return [...Array(classes.length ? 2 + classes.length : 3).fill(""), "", errorWords(answer.error)];
  const values = classes.length
    ? [answer.confidence, ...classes.map((one) => answer.probabilities[one])]
    : [answer.interval?.[0], answer.interval?.[1]];
  return [answer.prediction, ...values, answer.model_version, ""];
}

const errorWords = (error) =>
  error.details?.map((detail) => `${detail.column}: got ${detail.value}, allowed: ${detail.allowed}`).join("; ") || error.message;

function busy(is) {
  byId("progress").hidden = !is;
  if (is) byId("progress").value = 0;
  byId("stop").hidden = !is;
  byId("score").disabled = is;
}

function say(words) {
  byId("progress-words").textContent = words;
}
