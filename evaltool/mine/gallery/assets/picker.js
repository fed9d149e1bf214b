// Picking another label by typing a part of its name (or, where labels are numbers, the number).

const PICKER_ROWS = 100;
const picker = { found: [], active: 0 };

function openPicker() {
  if (!current) return;
  if (config.values === "whole") return decide("relabel");
  byId("picker-input").value = "";
  showFound();
  byId("picker").showModal();
  byId("picker-input").focus();
}

function foundFor(text) {
  if (config.values === "number") {
    const value = Number(text);
    return text.trim() !== "" && Number.isFinite(value) ? [{ value, name: text.trim() }] : [];
  }
  const typed = text.trim().toLowerCase();
  const starts = [];
  const holds = [];
  choices.forEach((name, value) => {
    const at = name.toLowerCase().indexOf(typed);
    if (at === 0) starts.push({ value, name });
    else if (at > 0) holds.push({ value, name });
  });
  // the exact name first: of "1" and "10" the one typed
  return [...starts, ...holds].sort((a, b) => (b.name.toLowerCase() === typed) - (a.name.toLowerCase() === typed));
}

function showFound() {
  picker.found = foundFor(byId("picker-input").value);
  picker.active = 0;
  const options = picker.found.slice(0, PICKER_ROWS).map(({ value, name }, at) => {
    const option = element("li", { role: "option", id: `option-${at}`, "data-at": at });
    option.textContent = name;
    if (value === current.label) option.append(element("small", {}, "given label"));
    return option;
  });
  byId("options").replaceChildren(...options);
  const left = picker.found.length - options.length;
  const none = config.values === "number" ? "Type a number." : "No class has this in its name.";
  byId("picker-note").textContent = left > 0 ? `${left} more: type on` : options.length ? "" : none;
  markActive();
}

function markActive() {
  const options = [...byId("options").children];
  options.forEach((option, at) => option.setAttribute("aria-selected", String(at === picker.active)));
  options[picker.active]?.scrollIntoView({ block: "nearest" });
  byId("picker-input").setAttribute("aria-activedescendant", options.length ? `option-${picker.active}` : "");
}

function pick(at) {
  const choice = picker.found[at];
  if (!choice) return;
  byId("picker-input").blur(); // else it stays the target of keys until the next frame
  byId("picker").close();
  decide("relabel", choice.value);
}

function pickerKey(event) {
  const last = Math.min(picker.found.length, PICKER_ROWS) - 1;
  if (event.key === "ArrowDown") picker.active = Math.min(last, picker.active + 1);
  else if (event.key === "ArrowUp") picker.active = Math.max(0, picker.active - 1);
  else if (event.key === "Enter") pick(picker.active);
  else return;
  event.preventDefault();
  if (event.key !== "Enter") markActive();
}
