// The decisions: in memory, mirrored to localStorage so that they survive a reload, each change undoable.

const STORE_KEY = `evaltool-gallery:${config.digest}${config.blind ? ":blind" : ""}`;
const REVIEWER_KEY = "evaltool-gallery:reviewer";

const store = {
  decisions: new Map(), // sample key -> { decision, new_label, reviewer, time, own: made on this page }
  undoable: [], // each a list of [sample key, decision before]
  unsaved: 0, // decisions changed since the last download
  problem: "", // why nothing is kept, if nothing is

  load() {
    try {
      localStorage.setItem(`${STORE_KEY}:try`, "1");
      localStorage.removeItem(`${STORE_KEY}:try`);
      this.adopt(localStorage.getItem(STORE_KEY));
    } catch (error) {
      this.problem = `this browser keeps no data for this page (${error.name})`;
    }
  },

  adopt(text) {
    let kept = {};
    try {
      kept = JSON.parse(text ?? "{}") ?? {};
    } catch {
      this.problem = "what this browser had kept of this page cannot be read";
    }
    this.decisions = new Map();
    for (const [key, record] of Object.entries(kept)) {
      // one of another list of the same run stays in the store and out of this page's counts
      if (DECISIONS[record?.decision]) this.decisions.set(key, settled(sampleOfKey.get(key), record));
    }
  },

  save() {
    if (this.problem) return;
    try {
      localStorage.setItem(STORE_KEY, JSON.stringify(Object.fromEntries(this.decisions)));
    } catch (error) {
      this.problem = `this browser could not keep the decisions (${error.name})`;
    }
  },

  of(sample) {
    return this.decisions.get(sample.key);
  },

  // changes: list of [sample, record or undefined]; one step for undo
  change(changes) {
    this.undoable.push(changes.map(([sample]) => [sample.key, this.of(sample)]));
    for (const [sample, record] of changes) {
      if (record) this.decisions.set(sample.key, settled(sample, record));
      else this.decisions.delete(sample.key);
    }
    this.unsaved += changes.length;
    this.save();
  },

  // returns the first sample that changed, undefined when there is nothing to undo
  undo() {
    const before = this.undoable.pop();
    if (!before) return undefined;
    for (const [key, record] of before) {
      if (record) this.decisions.set(key, record);
      else this.decisions.delete(key);
    }
    this.unsaved += before.length;
    this.save();
    return sampleOfKey.get(before[0]?.[0]);
  },

  reviewer() {
    return byId("reviewer").value.trim();
  },

  // decisions made on this page before there was a name; one read from a CSV without a name stays somebody's
  unnamed() {
    return [...this.decisions].filter(([, record]) => record.own && !record.reviewer);
  },

  nameOwn() {
    const found = this.reviewer() ? this.unnamed() : [];
    for (const [key, record] of found) this.decisions.set(key, { ...record, reviewer: this.reviewer() });
    if (found.length) this.save();
  },

  counts() {
    const counts = { accept: 0, keep: 0, relabel: 0, unsure: 0, skip: 0 };
    for (const sample of samples) {
      const record = this.of(sample);
      if (record) counts[record.decision] += 1;
    }
    counts.done = samples.filter((sample) => this.of(sample)).length;
    counts.judged = counts.accept + counts.keep + counts.relabel;
    return counts;
  },
};

// What a decision means beside this list: a new label that is the suggestion was accepted, one that is the given label
// was kept; another list of the run may suggest something else than the one in which it was decided.
function settled(sample, record) {
  if (!sample || config.values === "whole" || !["accept", "relabel"].includes(record.decision)) return record;
  const value = record.new_label;
  if (value === sample.label) return { ...record, decision: "keep", new_label: null };
  const accepted = canAccept(sample) && value === sample.suggested;
  return { ...record, decision: accepted ? "accept" : "relabel" };
}

function recordOf(decision, newLabel = null) {
  const time = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  return { decision, new_label: newLabel, reviewer: store.reviewer(), time, own: true };
}
