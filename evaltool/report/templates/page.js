// Draws charts, builds the long tables and makes them sort and filter.  Everything that comes from data goes in as text.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const UNKNOWN = "–", FIRST_ROWS = 50;
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // numbers read as formats.py writes them: three significant digits
  const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const powered = (text) => text.replace(/e([+-])(\d)$/, "e$10$2");
  const three = (value) => powered(value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(2) : value.toPrecision(3));
  const number = (value) => {
    if (Math.abs(value) >= 1000 && Math.abs(value) < 1e9) return grouped.format(value);
    return Number.isInteger(value) && Math.abs(value) < 1000 ? String(value) : three(value);
  };
  const percent = (value) => {
    if (value === 0) return "0%";
    if (value >= 0.9995 && value < 1) return ">99.9%";
    if (Math.abs(value) < 1e-5) return value > 0 ? "<0.001%" : ">-0.001%";
    return Math.abs(value) < 9.99 ? `${three(100 * value)}%` : `${grouped.format(100 * value)}%`;
  };
  const sign = (text, value) => (value > 0 ? `+${text}` : text);
  const FORMS = {
    count: (value) => (Number.isInteger(value) ? grouped.format(value) : new Intl.NumberFormat("en-US", { maximumFractionDigits: 1, minimumFractionDigits: 1 }).format(value)),
    number, percent,
    times: (value) => `${number(value)}×`,
    points: (value) => FORMS.signed(100 * value),
    signed: (value) => (Math.abs(value) < 1e-12 ? "0" : sign(three(value), value)),
    text: (value) => value,
    class: (value) => data.names[value],
  };
  const first = (cell) => (Array.isArray(cell) ? cell[0] : cell);

  // tables
  const compared = (kind, direction) => (a, b) => {
    const x = first(a), y = first(b);
    if (x === null || y === null) return (x === null) - (y === null); // what is not known stays last
    if (kind === "class") return direction * data.names[x].localeCompare(data.names[y], undefined, { numeric: true });
    if (kind === "text") return direction * x.localeCompare(y, undefined, { numeric: true });
    return direction * (x - y);
  };
  const tinted = (cell, ratio) => {
    const strength = Math.min(1, Math.abs(Math.log2(Math.max(ratio, 1e-3))) / 3);
    cell.style.backgroundColor = `rgb(var(--tint-${ratio > 1 ? "hot" : "cool"}) / ${(42 * strength).toFixed(0)}%)`;
  };
  const cellOf = (value, column, lead, tint) => {
    const numeric = !["text", "class"].includes(column.kind);
    const cell = element(lead ? "th" : "td", undefined, lead ? { scope: "row" } : {});
    if (numeric) cell.className = "n";
    if (value === null) { cell.textContent = UNKNOWN; return cell; }
    const shown = FORMS[column.kind](first(value));
    if (column.kind === "class") {
      if (lead) cell.append(element("span", value, { class: "index" }));
      cell.append(element("bdi", shown, { class: "name", ...(shown.length > 40 ? { title: shown } : {}) }));
    } else if (column.kind === "text") cell.append(element("bdi", shown, lead ? { class: "name" } : {}));
    else cell.append(shown);
    if (Array.isArray(value) && value.length === 3) {
      const [low, high] = value.slice(1).map(FORMS[column.kind]);
      const text = ["points", "signed"].includes(column.kind) ? `${low} to ${high}` : `${low.replace(/[%×]$/, "")}–${high.replace(/[%×]$/, "")}`;
      cell.append(element("small", text, { class: "interval", title: `95% interval: ${low} to ${high}` }));
    }
    if (tint) tinted(cell, first(value));
    return cell;
  };

  const choice = (label, options, changed) => {
    const box = element("label", label), select = element("select", undefined, { "aria-label": label });
    for (const [value, text] of options) select.append(element("option", text, { value }));
    select.addEventListener("change", () => changed(select.value));
    box.append(select);
    return box;
  };
  const built = (place, table) => {
    const { columns, rows } = table, tools = place.querySelector(".tools"), target = place.querySelector("table");
    const state = { column: null, direction: 1, text: "", group: "", loss: (table.losses || [])[0], extra: false, all: false };
    const lead = 0, groups = columns.findIndex((column) => column.title === "group" && column.kind === "text");
    const visible = () => columns.map((column, at) => at).filter((at) =>
      (!columns[at].extra || state.extra) && (!columns[at].loss || columns[at].loss === state.loss));
    if (table.order) {
      state.column = columns.findIndex((column) => column.title === table.order[0] && (!column.loss || column.loss === state.loss));
      state.direction = table.order[1];
    }
    const head = element("thead"), body = element("tbody");
    target.append(head, body);
    const more = place.querySelector(".more"), status = more.querySelector("[data-status]"), button = more.querySelector("button");

    const found = () => {
      const needle = state.text.trim().toLowerCase();
      const kept = rows.filter((row) =>
        (!state.group || row[groups] === state.group) &&
        (!needle || String(FORMS[columns[lead].kind](row[lead])).toLowerCase().includes(needle) || (columns[lead].kind === "class" && String(row[lead]) === needle)));
      if (state.column === null || state.column < 0) return kept;
      const order = compared(columns[state.column].kind, state.direction);
      return kept.sort((a, b) => order(a[state.column], b[state.column])); // stable, and of a copy
    };
    const sorted = (at) => {
      const text = ["text", "class"].includes(columns[at].kind);
      state.direction = state.column === at ? -state.direction : text ? 1 : -1;
      state.column = at;
      draw();
      head.querySelector(`[data-column="${at}"] button`).focus();
    };
    const draw = () => {
      const shown = visible(), line = element("tr");
      for (const at of shown) {
        const column = columns[at], cell = element("th", undefined, { scope: "col", "data-column": at });
        if (!["text", "class"].includes(column.kind)) cell.className = "n";
        cell.setAttribute("aria-sort", at !== state.column ? "none" : state.direction > 0 ? "ascending" : "descending");
        const press = element("button", column.title, { type: "button" });
        if (column.means) press.title = column.means;
        press.addEventListener("click", () => sorted(at));
        cell.append(press);
        line.append(cell);
      }
      head.replaceChildren(line);
      const kept = found(), few = state.all ? kept : kept.slice(0, FIRST_ROWS);
      body.replaceChildren(...few.map((row) => {
        const made = element("tr");
        for (const at of shown) made.append(cellOf(row[at], columns[at], at === lead, table.tint === columns[at].title && row[at] !== null));
        return made;
      }));
      status.textContent = few.length < rows.length ? `${grouped.format(few.length)} of ${grouped.format(rows.length)} rows` : "";
      button.hidden = kept.length <= FIRST_ROWS;
      button.textContent = state.all ? `Show ${FIRST_ROWS}` : `Show all ${grouped.format(kept.length)}`;
      more.hidden = !status.textContent && button.hidden;
    };

    const search = tools.querySelector("[data-filter]");
    if (search && rows.length > 8) search.addEventListener("input", () => { state.text = search.value; draw(); });
    else if (search) search.parentElement.remove();
    const present = groups > 0 ? [...new Set(rows.map((row) => row[groups]))] : [];
    if (present.length > 1) {
      tools.append(choice("Group", [["", "all"], ...present.map((name) => [name, name])], (value) => { state.group = value; draw(); }));
    }
    if ((table.losses || []).length > 1) {
      tools.append(choice("Loss", table.losses.map((name) => [name, name]), (value) => {
        const { title, loss } = columns[state.column] || {};
        state.loss = value;
        if (loss) state.column = columns.findIndex((column) => column.title === title && column.loss === value);
        draw();
      }));
    }
    if (columns.some((column) => column.extra)) {
      const box = element("label"), check = element("input", undefined, { type: "checkbox" });
      check.addEventListener("change", () => { state.extra = check.checked; draw(); });
      box.append(check, "all columns");
      tools.append(box);
    }
    tools.hidden = !tools.querySelector("label");
    button.addEventListener("click", () => { state.all = !state.all; draw(); });
    draw();
  };
  // tables that are in the page as they are: a press on a head sorts the rows of all tables of its place
  const valueOf = (row, at, numeric) => {
    const cell = row.cells[at];
    if (!numeric) return cell.textContent.trim();
    const lead = [...cell.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()); // no interval
    return Number.parseFloat((lead ? lead.data : "").replace(/[,<>\s]/g, ""));
  };
  const sortable = (place) => {
    const bodies = [...place.querySelectorAll("tbody")], sizes = bodies.map((body) => body.rows.length);
    const heads = [...place.querySelectorAll("thead tr")];
    if (sizes.reduce((sum, size) => sum + size, 0) < 2) return;
    const given = bodies.flatMap((body) => [...body.rows]);
    let column = null, direction = 1;
    const sorted = (at, numeric) => {
      direction = column === at ? -direction : numeric ? -1 : 1;
      column = at;
      const keyed = given.map((row) => [valueOf(row, at, numeric), row]);
      const rows = keyed.sort(([a], [b]) => {
        if (!numeric) return direction * a.localeCompare(b, undefined, { numeric: true });
        return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : direction * (a - b);
      }).map(([, row]) => row);
      bodies.forEach((body, i) => body.replaceChildren(...rows.splice(0, sizes[i])));
      for (const head of heads) {
        [...head.cells].forEach((cell, i) => cell.setAttribute("aria-sort", i !== at ? "none" : direction > 0 ? "ascending" : "descending"));
      }
    };
    for (const head of heads) {
      [...head.cells].forEach((cell, at) => {
        const press = element("button", undefined, { type: "button" });
        press.append(...cell.childNodes);
        press.addEventListener("click", () => sorted(at, cell.classList.contains("n")));
        cell.append(press);
        cell.setAttribute("aria-sort", "none");
      });
    }
  };
  for (const place of document.querySelectorAll("[data-sorts]")) sortable(place);
  for (const place of document.querySelectorAll("[data-long]")) built(place, data.tables[place.dataset.long]);

  // charts: rows name a class by its index, a second one as j
  const drawn = async (figure) => {
    const id = figure.dataset.chart, spec = data.charts[id], plot = figure.querySelector(".plot");
    for (const row of spec.datasets.rows) {
      if ("i" in row) row.name = data.names[row.i];
      if ("j" in row) row.pred = data.names[row.j];
    }
    const options = {
      ast: true, renderer: "svg", config: data.config, downloadFileName: `${data.run}-${id}`.replace(/[^\p{L}\p{N}._-]+/gu, "_"),
      actions: { export: true, source: false, compiled: false, editor: false },
      i18n: { CLICK_TO_VIEW_ACTIONS: "Save this chart" },
    };
    try {
      await vegaEmbed(plot, spec, options);
      figure.dataset.drawn = "yes";
    } catch (error) {
      plot.textContent = `This chart could not be drawn: ${error.message}`;
      throw error;
    }
  };
  const ready = Promise.all([...document.querySelectorAll("[data-chart]")].map(drawn));
  ready.finally(() => { document.documentElement.dataset.ready = "yes"; });

  // copying
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // a viewer may keep the clipboard to itself: select the text, so that a key copies it
        getSelection().selectAllChildren(source);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }

  // paper has nothing to press: what is folded opens while it prints
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open]):not([title])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });

  // where the reader is
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const mark = () => {
    const line = innerHeight * 0.25;
    let here = null;
    for (const section of document.querySelectorAll("section")) if (section.getBoundingClientRect().top <= line) here = section.id;
    for (const [id, link] of links) {
      if (id === here) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
  mark();
})();
