// What a decision does to the page: kept, counted, and on to the next sample.

let toastTimer = 0;

function announce(words) {
  const toast = byId("toast");
  toast.textContent = words;
  toast.classList.add("up");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.classList.remove("up"), 4000);
}

function decide(decision, newLabel = null) {
  if (!current) return;
  if (decision === "accept") {
    if (config.blind) return announce("A blind review shows no suggestion. Keep the label, or pick another.");
    if (!canAccept(current)) return announce("There is no suggestion for this sample. Keep the label, or pick another.");
    newLabel = current.suggested ?? null;
  }
  const sample = current;
  const next = nextOpen(sample);
  store.change([[sample, recordOf(decision, newLabel)]]);
  afterChange([sample]);
  if (next) return select(next);
  if (!view.shown.includes(sample)) select(view.shown.at(-1));
  announce("That was the last undecided sample shown. Download the CSV when you are done.");
}

// the next undecided sample shown after this one, else the first one before it
function nextOpen(sample) {
  const at = view.shown.indexOf(sample);
  const order = [...view.shown.slice(at + 1), ...view.shown.slice(0, at)];
  return order.find((other) => !store.of(other));
}

function undo() {
  if (!store.undoable.length) return announce("There is nothing to undo.");
  const sample = store.undo();
  afterChange(samples);
  if (sample && !view.shown.includes(sample)) clearFilters();
  select(sample ?? view.shown[0]);
  announce("Undone.");
}

// what has to be shown anew after the decisions of some samples changed
function afterChange(changed) {
  changed.forEach(markCard);
  if (view.state !== "") refresh();
  else if (current) showDecision();
  showTabCounts();
  showProgress();
}

function showProgress() {
  const counts = store.counts();
  const bar = byId("progress");
  bar.setAttribute("aria-valuenow", counts.done);
  bar.setAttribute("aria-valuemax", samples.length);
  for (const name of Object.keys(DECISIONS)) {
    bar.querySelector(`[data-part=${name}]`).style.setProperty("--share", counts[name] / (samples.length || 1));
  }
  byId("done").textContent = `${counts.done.toLocaleString("en")} of ${samples.length.toLocaleString("en")} decided`;
  byId("precision").textContent = precisionWords(counts);
  byId("download").disabled = counts.done === 0;
  byId("undo").disabled = store.undoable.length === 0;
  const problem = byId("problem");
  problem.hidden = !store.problem;
  problem.textContent = store.problem
    ? `Decisions will be lost when this page closes: ${store.problem}. Download the CSV before you leave, and load it next time.`
    : "";
}

// Of the samples judged (accepted, kept or relabelled), the share whose suggestion was right and whose label was wrong.
// A blind review may not learn the first.
function precisionWords({ accept, relabel, judged }) {
  if (judged === 0) return "";
  const share = (k, words) => {
    const [low, high] = wilson(k, judged).map((bound) => Math.round(100 * bound));
    // no break inside the numbers
    return `${words} ${`${k} of ${judged}: ${percent(k / judged)} (${low}–${high} %)`.replaceAll(" ", "\u00a0")}`;
  };
  const wrong = share(accept + relabel, "labels wrong");
  return config.blind || !samples.some(canAccept) ? wrong : `${share(accept, "accepted")} · ${wrong}`;
}

// "Åsa O'Neil" -> "asa-o-neil"
function slug(name) {
  const bare = name.normalize("NFKD").replace(/\p{M}+/gu, "").normalize("NFC");
  return bare.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
}

function showNameless(shown) {
  byId("nameless").hidden = !shown;
}

function nameGiven() {
  store.nameOwn();
  if (!store.unnamed().length) showNameless(false);
  if (current) showDecision();
}

function download() {
  if (byId("download").disabled) return announce("Nothing is decided yet.");
  store.nameOwn();
  const blob = new Blob([decisionsCsv()], { type: "text/csv;charset=utf-8" });
  const link = element("a", { download: `${[config.file, "decisions", slug(store.reviewer())].filter(Boolean).join(".")}.csv` });
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  store.unsaved = 0;
  return showNameless(store.unnamed().length > 0);
}

async function loadCsv(file) {
  let changes;
  let refusals;
  try {
    [changes, refusals] = changesOfCsv(await file.text());
  } catch (error) {
    return announce(`${file.name} holds no decisions: ${error.message}. Load a CSV that this page wrote.`);
  }
  // what was decided here later than there stays
  const newer = changes.filter(([sample, record]) => !(store.of(sample)?.time > record.time));
  if (newer.length) store.change(newer);
  afterChange(newer.map(([sample]) => sample));
  if (newer.length) select(firstOpen());
  const words = [`${newer.length} decisions read from ${file.name}`];
  if (newer.length < changes.length) words.push(`${changes.length - newer.length} left as decided here later`);
  if (refusals.length) {
    const more = refusals.length > 3 ? `, and ${refusals.length - 3} more` : "";
    words.push(`${refusals.length} do not fit: ${refusals.slice(0, 3).join("; ")}${more}`);
  }
  return announce(`${words.join(". ")}.`);
}
