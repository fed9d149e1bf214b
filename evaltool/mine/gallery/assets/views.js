// Which samples are shown, in which order: tabs, filters and sorting.

const view = { tabs: "all", tab: "", text: "", label: "", group: "", state: "", sort: "list", shown: [] };

const TAB_SETS = {
  pair: { word: "By confusion", of: (sample) => (hasSuggestion(sample) ? pairName(sample) : null) },
  class: { word: "By class", of: tabClass },
};

function hasSuggestion(sample) {
  return sample.suggested !== null && sample.suggested !== undefined;
}

function tabClass(sample) {
  const index = sample.class ?? (config.values === "class" ? sample.label : null);
  return index === null || index === undefined ? null : className(index);
}

// [name, samples] of each tab, the one with most samples first
function tabsOf(set) {
  const tabs = new Map();
  for (const sample of samples) {
    const name = TAB_SETS[set].of(sample);
    if (name === null) continue;
    if (!tabs.has(name)) tabs.set(name, []);
    tabs.get(name).push(sample);
  }
  const words = new Intl.Collator(undefined, { numeric: true });
  return [...tabs].sort((a, b) => b[1].length - a[1].length || words.compare(a[0], b[0]));
}

const STATES = {
  "": ["All", () => true],
  open: ["Undecided", (record) => !record],
  done: ["Decided", (record) => Boolean(record)],
  ...Object.fromEntries(
    Object.entries(DECISIONS).map(([name, { word }]) => [
      name,
      [word[0].toUpperCase() + word.slice(1), (record) => record?.decision === name],
    ]),
  ),
};

function descending(of) {
  return (a, b) => (of(b) ?? -Infinity) - (of(a) ?? -Infinity) || a.position - b.position;
}

function ascending(of) {
  const words = new Intl.Collator(undefined, { numeric: true });
  return (a, b) => words.compare(String(of(a) ?? ""), String(of(b) ?? "")) || a.position - b.position;
}

// name -> [words, comparison]; only what the samples have
function sorts() {
  const found = { list: [config.blind ? "Shuffled" : "Order of the list", (a, b) => a.position - b.position] };
  const has = (name) => samples.some((sample) => sample[name] !== null && sample[name] !== undefined);
  if (has("p_wrong")) found.p_wrong = ["Most likely wrong", descending((sample) => sample.p_wrong)];
  config.losses.forEach((name, column) => {
    found[`loss:${name}`] = [`Highest ${name}`, descending((sample) => sample.losses?.[column])];
  });
  if (has("label")) found.label = ["Label", ascending((sample) => valueName(sample.label))];
  if (has("class")) found.class = ["Class", ascending((sample) => className(sample.class))];
  if (has("suggested")) found.suggested = ["Suggested", ascending((sample) => valueName(sample.suggested))];
  if (has("group")) found.group = ["Group", ascending((sample) => sample.group)];
  found.id = ["Id", ascending(sampleName)];
  return found;
}

const SORTS = sorts();

function searchable(sample) {
  sample.words ??= [
    sampleName(sample),
    sample.index,
    className(sample.class),
    valueName(sample.label),
    valueName(sample.suggested),
    sample.group ?? "",
    sample.why ?? "",
    ...(sample.text ?? []).flat(),
  ]
    .join("\n")
    .toLowerCase();
  return sample.words;
}

function isShown(sample) {
  if (view.tab !== "" && TAB_SETS[view.tabs]?.of(sample) !== view.tab) return false;
  if (view.label !== "" && tabClass(sample) !== view.label) return false;
  if (view.group !== "" && String(sample.group) !== view.group) return false;
  if (!STATES[view.state][1](store.of(sample))) return false;
  return view.text.split(/\s+/).every((word) => searchable(sample).includes(word));
}

function chooseShown() {
  view.shown = samples.filter(isShown).sort(SORTS[view.sort][1]);
}
