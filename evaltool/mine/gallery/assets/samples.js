// What the page holds, and the words for it. Data only ever becomes text through textContent.

const config = JSON.parse(document.getElementById("config").textContent);
const samples = JSON.parse(document.getElementById("samples").textContent);
const INFINITE = { "∞": Infinity, "-∞": -Infinity }; // JSON has no word for them
samples.forEach((sample, position) => {
  sample.position = position;
  sample.losses = sample.losses?.map((value) => INFINITE[value] ?? value);
  sample.key = keyOf(sample.index, sample.class);
});
const sampleOfKey = new Map(samples.map((sample) => [sample.key, sample]));

// a sample can be listed for several classes, each to be decided by itself
function keyOf(index, classIndex) {
  return config.by_class ? `${index}|${classIndex ?? ""}` : String(index);
}

const DECISIONS = {
  accept: { word: "accepted", sign: "✓" },
  keep: { word: "kept", sign: "=" },
  relabel: { word: "relabelled", sign: "✎" },
  unsure: { word: "unsure", sign: "?" },
  skip: { word: "skipped", sign: "›" },
};

// config.values: "class" (an index), "presence" (0 or 1 of one class), "number" (regression) or "whole" (no value)
const PRESENCE = ["absent", "present"];
const choices = { class: config.classes, presence: PRESENCE }[config.values] ?? [];
const indexOfName = new Map(config.classes.map((name, index) => [name, index]));

function className(index) {
  return index === null || index === undefined ? "" : config.classes[index] ?? String(index);
}

function valueName(value) {
  if (value === null || value === undefined) return "";
  if (config.values === "number") return String(Number(value.toPrecision(6)));
  return choices[value] ?? String(value);
}

// how a value stands in the CSV: the class's name, 0 or 1, or the number
function valueCell(value) {
  if (value === null || value === undefined) return "";
  return config.values === "class" ? className(value) : String(value);
}

// the inverse of valueCell; undefined for what is no value of this list
function valueOfCell(cell) {
  if (cell === "") return null;
  if (config.values === "class") return indexOfName.get(cell);
  const number = Number(cell);
  if (config.values === "presence") return cell === "0" || cell === "1" ? number : undefined;
  return config.values === "number" && cell.trim() !== "" && Number.isFinite(number) ? number : undefined;
}

function pairName(sample) {
  const what = `${valueName(sample.label)} → ${valueName(sample.suggested)}`;
  return config.values === "presence" ? `${className(sample.class)}: ${what}` : what;
}

function sampleName(sample) {
  return sample.id === null || sample.id === undefined ? `#${sample.index}` : String(sample.id);
}

function canAccept(sample) {
  if (config.blind) return false;
  if (config.values === "whole") return config.takes_masks;
  return sample.suggested !== null && sample.suggested !== undefined;
}

function decimal(value) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : value.toFixed(3);
}

function percent(value) {
  if (value === null || value === undefined) return "";
  if (value > 0 && value < 0.01) return "< 1 %";
  if (value > 0.99 && value < 1) return "> 99 %";
  return `${Math.round(100 * value)} %`;
}

// Wilson's 95 % interval of k among n
function wilson(k, n) {
  const z = 1.959963984540054;
  const centre = (k + (z * z) / 2) / (n + z * z);
  const half = (z / (n + z * z)) * Math.sqrt((k * (n - k)) / n + (z * z) / 4);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function byId(id) {
  return document.getElementById(id);
}
