// The one sample that is being reviewed: large, with what is known of it, and the buttons that decide.

let current = null;

function select(sample, { scroll = true } = {}) {
  const before = current && cards.get(current.key)?.firstChild;
  if (before) {
    before.removeAttribute("aria-current");
    before.tabIndex = -1;
  }
  current = sample ?? null;
  showDetail();
  const card = current && cards.get(current.key)?.firstChild;
  if (!card) return;
  card.setAttribute("aria-current", "true");
  card.tabIndex = 0;
  // beside the detail the card stays in sight; below it (narrow window) the detail does
  if (scroll && isWide()) card.scrollIntoView({ block: "nearest" });
}

function isWide() {
  return matchMedia("(min-width: 820px)").matches;
}

function step(by) {
  const at = view.shown.indexOf(current) + by;
  if (at >= 0 && at < view.shown.length) select(view.shown[at]);
  else announce(by > 0 ? "This is the last sample shown." : "This is the first sample shown.");
}

// by a row of the cards as they lie; below the last whole row lies the last card
function stepRow(by) {
  const columns = getComputedStyle(byId("cards")).gridTemplateColumns.split(" ").length;
  const at = view.shown.indexOf(current);
  const last = view.shown.length - 1;
  const isLastRow = Math.floor(at / columns) === Math.floor(last / columns);
  if (by > 0 ? isLastRow : at < columns) return announce(`This is the ${by > 0 ? "last" : "first"} row shown.`);
  return select(view.shown[Math.min(at + by * columns, last)]);
}

function showDetail() {
  const detail = byId("detail");
  detail.hidden = false;
  detail.classList.toggle("vacant", current === null); // the panel stays: the page does not jump
  if (current === null) return;
  const sample = current;
  byId("where").textContent = `${(view.shown.indexOf(sample) + 1).toLocaleString("en")} of ${view.shown.length.toLocaleString("en")}`;
  byId("sample-name").textContent = sampleName(sample);
  const facts = [sample.id === null || sample.id === undefined ? "" : `#${sample.index}`, sample.group ?? ""];
  byId("sample-facts").textContent = facts.filter((fact) => fact !== "").join(" · ");
  const face = [];
  if (sample.picture || sample.overlays) face.push(stage(sample));
  if (sample.text) face.push(textOf(sample));
  byId("face").replaceChildren(...face);
  byId("masks").hidden = !sample.overlays;
  byId("legend").replaceChildren(...legend(sample));
  byId("opinions").replaceChildren(...opinions(sample));
  byId("why").textContent = sample.why ?? "";
  byId("losses").replaceChildren(...losses(sample));
  showDecision();
}

// which colour of the masks is which class
function legend(sample) {
  return (sample.classes ?? []).map((index) => {
    const chip = element("i");
    chip.style.setProperty("background", config.colours[index % config.colours.length]);
    const name = element("span", {}, chip);
    name.append(className(index));
    return name;
  });
}

function textOf(sample) {
  const list = element("dl", { class: "text", tabindex: "0", "aria-label": "the sample" });
  for (const [name, value] of sample.text) {
    if (name) {
      const term = element("dt");
      term.textContent = name;
      list.append(term);
    }
    const words = element("dd");
    words.textContent = value;
    list.append(words);
  }
  return list;
}

function opinion(kind, word, name, share) {
  const bar = element("span", { class: "bar" }, element("i"));
  if (share !== null && share !== undefined) bar.firstChild.style.setProperty("--share", share);
  else bar.classList.add("unknown");
  const label = element("b", { class: "what" });
  label.textContent = name;
  const number = element("span", { class: "share" });
  number.textContent = percent(share);
  return element("div", { class: `opinion ${kind}` }, element("span", { class: "word" }, word), label, bar, number);
}

function opinions(sample) {
  const rows = [];
  if (sample.class !== null && sample.class !== undefined) {
    const word = config.by_class ? "Class" : "Worst class";
    rows.push(opinion("of-class", word, className(sample.class), null));
  }
  if (sample.label !== null && sample.label !== undefined) {
    rows.push(opinion("given", "Given", valueName(sample.label), sample.p_label));
  }
  if (hasSuggestion(sample)) {
    rows.push(opinion("suggested", "Suggested", valueName(sample.suggested), sample.p_suggested));
  }
  const predicted = sample.pred;
  if (predicted !== null && predicted !== undefined && predicted !== sample.suggested && predicted !== sample.label) {
    rows.push(opinion("predicted", "Predicted", valueName(predicted), sample.p_pred));
  }
  if (sample.p_wrong !== null && sample.p_wrong !== undefined) {
    rows.push(opinion("wrong", "Label wrong", "", sample.p_wrong));
  }
  return rows;
}

function losses(sample) {
  const shown = [];
  config.losses.forEach((name, column) => {
    const value = sample.losses?.[column];
    if (value === null || value === undefined) return;
    const term = element("dt");
    term.textContent = name;
    const number = element("dd");
    number.textContent = decimal(value);
    shown.push(term, number);
  });
  return shown;
}

function showDecision() {
  const record = store.of(current);
  byId("detail").dataset.decision = record?.decision ?? "";
  const said = [];
  if (record) {
    const { word } = DECISIONS[record.decision];
    said.push(word[0].toUpperCase() + word.slice(1));
    if (record.new_label !== null && record.new_label !== undefined) said.push(`→ ${valueName(record.new_label)}`);
    if (record.reviewer) said.push(`by ${record.reviewer}`);
  }
  byId("decision").textContent = said.join(" ") || "Undecided";
  for (const button of document.querySelectorAll("#buttons [data-decide]")) {
    button.setAttribute("aria-pressed", String(record?.decision === button.dataset.decide));
  }
  byId("accept").disabled = !canAccept(current);
}
