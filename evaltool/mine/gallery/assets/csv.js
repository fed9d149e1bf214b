// The decisions as CSV (RFC 4180), safe to open in a spreadsheet, and read back.

const CSV_COLUMNS = ["index", "id", "class", "label", "suggested", "decision", "new_label", "reviewer", "time"];

// A spreadsheet runs a cell that starts with one of = + - @ as a formula, whatever its quotes; an apostrophe in front
// stops it. One that starts with an apostrophe gets another, so that taking one away always gives the value back. Where
// semicolons separate cells, what follows one is a cell as well. As evaltool/spreadsheets.py, but for numbers.
const FORMULA = /^[=+\-@\t\r\n'＝＋－＠]/;

function guarded(text) {
  if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return text;
  const parts = text.split(";").map((part) => (FORMULA.test(part) ? `'${part}` : part));
  return parts.join(";");
}

function unguarded(cell) {
  const parts = cell.split(";").map((part) => (part[0] === "'" && FORMULA.test(part.slice(1)) ? part.slice(1) : part));
  return parts.join(";");
}

function csvCell(value) {
  const text = guarded(String(value ?? ""));
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function decisionsCsv() {
  const lines = [CSV_COLUMNS.join(",")];
  for (const sample of samples) {
    const record = store.of(sample);
    if (!record) continue;
    const row = {
      index: sample.index,
      id: sample.id,
      class: config.by_class ? className(sample.class) : "",
      label: valueCell(sample.label),
      suggested: valueCell(sample.suggested),
      ...record,
      new_label: valueCell(record.new_label),
    };
    lines.push(CSV_COLUMNS.map((name) => csvCell(row[name])).join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

// Returns the rows as lists of cells. Quotes, doubled quotes and line breaks in quotes as in RFC 4180.
function csvRows(text) {
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const source = text.replace(/^\uFEFF/, "");
  for (let at = 0; at < source.length; at += 1) {
    const sign = source[at];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (source[at + 1] === '"') cell += source[(at += 1)];
      else quoted = false;
    } else if (sign === '"' && cell === "") {
      quoted = true;
    } else if (sign === "," || sign === "\n" || sign === "\r") {
      row.push(cell);
      cell = "";
      if (sign === ",") continue;
      if (sign === "\r" && source[at + 1] === "\n") at += 1;
      rows.push(row);
      row = [];
    } else {
      cell += sign;
    }
  }
  if (quoted) throw new Error("a quoted cell has no end");
  if (cell !== "" || row.length) rows.push([...row, cell]);
  return rows.filter((cells) => cells.length > 1 || cells[0] !== "");
}

// Returns [changes, refusals]: what a CSV would change here, and for each row that does not fit, why.
function changesOfCsv(text) {
  const [header, ...rows] = csvRows(text);
  // as `relabel apply` reads them: what people wrote by hand may have no more
  if (!header?.includes("decision")) throw new Error("it has no column decision");
  if (!header.includes("index") && !header.includes("id")) throw new Error("it has no column index or id");
  const changes = new Map();
  const refusals = [];
  rows.forEach((cells, number) => {
    const row = Object.fromEntries(header.map((name, column) => [name, unguarded(cells[column] ?? "")]));
    row.decision = row.decision.trim().toLowerCase();
    if (row.decision === "") return; // nobody decided it
    const refusal = readRow(row, changes);
    if (refusal) refusals.push(`row ${number + 2}: ${refusal}`);
  });
  return [[...changes.values()], refusals];
}

const indexOfId = new Map(samples.map(({ id, index }) => [id, index]));

function readRow(row, changes) {
  const classIndex = row.class ? indexOfName.get(row.class) : null;
  if (classIndex === undefined) return `unknown class ${row.class}`;
  if (config.by_class && classIndex === null) return "it names no class, and this list asks about one class at a time";
  const called = row.index?.trim() || row.id;
  const index = row.index?.trim() ? Number(row.index) : indexOfId.get(row.id);
  const sample = sampleOfKey.get(keyOf(index, classIndex));
  if (!sample) return `sample ${called} is not in this list`;
  if (index !== sample.index || (row.id && sample.id !== undefined && row.id !== sample.id)) {
    return `sample ${called} has the id ${sample.id} here and ${row.id} there`;
  }
  if (!Object.hasOwn(DECISIONS, row.decision)) return `unknown decision ${row.decision}`;
  if (row.label && row.label !== valueCell(sample.label)) {
    return `sample ${called} is labelled ${valueCell(sample.label)} here and ${row.label} there`;
  }
  const newLabel = valueOfCell(row.new_label ?? "");
  const needsValue = config.values !== "whole" && ["accept", "relabel"].includes(row.decision);
  if (newLabel === undefined || (needsValue && newLabel === null)) return `no such new label: ${row.new_label}`;
  const { decision, reviewer = "", time = "" } = row;
  changes.set(sample.key, [sample, { decision, new_label: newLabel, reviewer, time }]);
  return "";
}
