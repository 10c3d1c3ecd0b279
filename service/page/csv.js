// A CSV in parts of whole records: line breaks inside quotes belong to their record.

export function* records(text) {
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '"') isQuoted = !isQuoted;
    else if (letter === "\n" && !isQuoted) {
      yield text.slice(start, at).replace(/\r$/, "");
      start = at + 1;
    }
  }
  if (start < text.length) yield text.slice(start).replace(/\r$/, "");
}

export function quoted(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
