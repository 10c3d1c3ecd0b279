// Small words for building the page; text is always set as text, never as markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function drawn(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function number(value, digits = 4) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return new Intl.NumberFormat("en", { maximumSignificantDigits: digits }).format(value);
}

export const percent = (share) => `${number(100 * share, 3)} %`;

export async function getJson(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(await failureOf(answer));
  return answer.json();
}

// The service's own sentence, or the status where something else answered.
export async function failureOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The service answered ${answer.status} ${answer.statusText}.`;
  }
}
