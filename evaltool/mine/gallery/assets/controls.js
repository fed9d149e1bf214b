// Tabs, filters and what they show.

function firstOpen() {
  return view.shown.find((sample) => !store.of(sample)) ?? view.shown[0];
}

function refresh() {
  chooseShown();
  showCards();
  select(view.shown.includes(current) ? current : firstOpen());
  byId("clear").hidden = !(view.text || view.label || view.group || view.state || view.tab);
}

function clearFilters() {
  Object.assign(view, { tab: "", text: "", label: "", group: "", state: "" });
  for (const name of ["text", "label", "group", "state"]) byId(`filter-${name}`).value = "";
  showTabs();
  refresh();
}

function fillSelect(select, options) {
  select.replaceChildren(
    ...options.map(([value, words]) => {
      const option = element("option", { value });
      option.textContent = words;
      return option;
    }),
  );
}

function valuesOf(of) {
  const words = new Intl.Collator(undefined, { numeric: true });
  const values = samples.map(of).filter((value) => value !== null && value !== undefined);
  return [...new Set(values.map(String))].sort(words.compare);
}

function setUpFilters() {
  const groups = valuesOf((sample) => sample.group);
  const names = valuesOf(tabClass);
  fillSelect(byId("filter-label"), [["", "All classes"], ...names.map((name) => [name, name])]);
  fillSelect(byId("filter-group"), [["", "All groups"], ...groups.map((name) => [name, name])]);
  fillSelect(byId("filter-state"), Object.entries(STATES).map(([name, [words]]) => [name, words]));
  fillSelect(byId("sort"), Object.entries(SORTS).map(([name, [words]]) => [name, words]));
  byId("filter-label").hidden = names.length < 2;
  byId("filter-group").hidden = groups.length < 2;
  for (const name of ["label", "group", "state"]) {
    byId(`filter-${name}`).addEventListener("change", (event) => {
      view[name] = event.target.value;
      refresh();
    });
  }
  byId("filter-text").addEventListener("input", (event) => {
    view.text = event.target.value.trim().toLowerCase();
    refresh();
  });
  byId("sort").addEventListener("change", (event) => {
    view.sort = event.target.value;
    refresh();
    select(view.shown[0]);
  });
  byId("clear").addEventListener("click", clearFilters);
}

let tabSamples = new Map(); // tab button -> its samples

function setUpTabs() {
  const sets = Object.keys(TAB_SETS).filter((set) => tabsOf(set).length > 1);
  byId("tab-sets").hidden = sets.length === 0;
  const made = ["all", ...sets].map((set) => {
    const tab = element("button", { type: "button", role: "tab", "data-set": set });
    tab.textContent = TAB_SETS[set]?.word ?? "All";
    tab.addEventListener("click", () => chooseTabSet(set));
    return tab;
  });
  byId("tab-sets").replaceChildren(...made);
  for (const list of [byId("tab-sets"), byId("tabs")]) list.addEventListener("keydown", tabKey);
  showTabs();
}

function chooseTabSet(set) {
  view.tabs = set;
  view.tab = set === "all" ? "" : tabsOf(set)[0][0];
  showTabs();
  refresh();
}

function showTabs() {
  if (view.tab === "") view.tabs = "all";
  markTabs(byId("tab-sets"), (tab) => tab.dataset.set === view.tabs);
  tabSamples = new Map();
  const tabs = view.tabs === "all" ? [] : tabsOf(view.tabs);
  byId("tabs").replaceChildren(
    ...tabs.map(([name, inside]) => {
      const words = element("span");
      words.textContent = name || "(empty)";
      const tab = element("button", { type: "button", role: "tab" }, words, element("small"));
      tab.tabName = name;
      tab.addEventListener("click", () => {
        view.tab = name;
        markTabs(byId("tabs"), (other) => other === tab);
        refresh();
      });
      tabSamples.set(tab, inside);
      return tab;
    }),
  );
  byId("tabs").hidden = tabs.length === 0;
  markTabs(byId("tabs"), (tab) => tab.tabName === view.tab);
  showTabCounts();
}

function markTabs(list, isChosen) {
  for (const tab of list.children) {
    const chosen = isChosen(tab);
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
}

function showTabCounts() {
  for (const [tab, inside] of tabSamples) {
    const done = inside.filter((sample) => store.of(sample)).length;
    tab.lastChild.textContent = done ? `${done}/${inside.length}` : String(inside.length);
    tab.classList.toggle("finished", done === inside.length);
  }
}

function tabKey(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  const tabs = [...event.currentTarget.children];
  const to = tabs[(tabs.indexOf(document.activeElement) + by + tabs.length) % tabs.length];
  event.preventDefault();
  event.stopPropagation();
  const at = tabs.indexOf(to);
  to.click();
  event.currentTarget.children[at]?.focus();
}
