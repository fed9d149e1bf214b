// Keys and buttons, and the start.

const KEYS = {
  a: () => decide("accept"),
  k: () => decide("keep"),
  c: openPicker,
  u: () => decide("unsure"),
  s: () => decide("skip"),
  z: undo,
  n: () => step(1),
  p: () => step(-1),
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowDown: () => stepRow(1),
  ArrowUp: () => stepRow(-1),
  Home: () => select(view.shown[0]),
  End: () => select(view.shown.at(-1)),
  1: () => toggleMask("label"),
  2: () => toggleMask("prediction"),
  3: () => toggleMask("disagreement"),
  d: download,
  "/": () => byId("filter-text").focus(),
  "?": () => byId("help").showModal(),
};
const REPEATABLE = ["n", "p", "ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp"];

function isTyping(target) {
  return target.matches("input:not([type=checkbox], [type=range]), select, textarea") || document.querySelector("dialog[open]");
}

let byPointer = false;
let chosenByKey = false; // a select was changed with the keyboard and still has the keys

function onKey(event) {
  byPointer = false;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.key === "Escape" && event.target.matches("input, select")) event.target.blur();
  if (event.key === "Enter" && chosenByKey && event.target.matches("select")) {
    event.preventDefault(); // else it opens
    event.target.blur();
    return;
  }
  if (event.key === "Enter" && event.target.matches("#reviewer, #filter-text")) {
    event.target.blur();
  }
  if (isTyping(event.target)) return;
  if (event.target.matches(".text") && event.key.startsWith("Arrow")) return; // it scrolls
  if (event.target.type === "range" && event.key.length > 1) return; // the keys that move it
  if (name === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
    event.preventDefault();
    undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, name)) return;
  event.preventDefault();
  // a key held down must not decide ten samples
  if (!event.repeat || REPEATABLE.includes(name)) KEYS[name]();
}

function setUpButtons() {
  const clicks = {
    accept: () => decide("accept"),
    keep: () => decide("keep"),
    other: openPicker,
    unsure: () => decide("unsure"),
    skip: () => decide("skip"),
    next: () => step(1),
    previous: () => step(-1),
    undo,
    download,
    "clear-all": clearFilters,
    "show-help": () => byId("help").showModal(),
    load: () => byId("load-file").click(),
  };
  for (const [name, click] of Object.entries(clicks)) byId(name).addEventListener("click", click);
  byId("cards").addEventListener("click", (event) => {
    const card = event.target.closest("li");
    if (!card) return;
    select(sampleOfCard.get(card), { scroll: false });
    if (!isWide()) byId("detail").scrollIntoView({ block: "start" });
  });
  byId("load-file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) await loadCsv(file);
    event.target.value = "";
  });
  for (const name of MASK_NAMES) byId(`mask-${name}`).addEventListener("change", () => toggleMask(name));
  byId("opacity").addEventListener("input", (event) => {
    masks.opacity = event.target.value / 100;
    applyMasks();
  });
  byId("picker-input").addEventListener("input", showFound);
  byId("picker-input").addEventListener("keydown", pickerKey);
  byId("options").addEventListener("click", (event) => {
    const option = event.target.closest("li");
    if (option) pick(Number(option.dataset.at));
  });
}

function setUpReviewer() {
  const input = byId("reviewer");
  try {
    input.value = localStorage.getItem(REVIEWER_KEY) ?? "";
  } catch {
    // the store says that nothing is kept
  }
  input.addEventListener("change", () => {
    nameGiven();
    try {
      localStorage.setItem(REVIEWER_KEY, input.value.trim());
    } catch (error) {
      announce(`Your name is not kept for the next time (${error.name}).`);
    }
  });
}

function start() {
  store.load();
  setUpReviewer();
  setUpButtons();
  setUpFilters();
  setUpTabs();
  applyMasks();
  chooseShown();
  showCards();
  showProgress();
  select(firstOpen());
  document.addEventListener("keydown", onKey);
  document.addEventListener("pointerdown", () => (byPointer = true));
  // chosen with the pointer, a filter gives the keys back; with the keyboard, one goes on choosing until Enter or Escape
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("select")) return;
    if (byPointer) target.blur();
    else chosenByKey = true;
  });
  document.addEventListener("focusin", () => (chosenByKey = false));
  // and so does a tab: its arrow keys are for those who came to it with the keyboard
  document.addEventListener("click", ({ target }) => byPointer && target.closest("[role=tab]")?.blur());
  // the same page in another tab
  window.addEventListener("storage", (event) => {
    if (event.key !== STORE_KEY) return;
    store.adopt(event.newValue);
    store.undoable = [];
    afterChange(samples);
  });
  window.addEventListener("beforeunload", (event) => {
    if (store.problem && store.unsaved) event.preventDefault();
  });
}

start();
