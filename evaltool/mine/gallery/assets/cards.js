// The grid of cards. A card is filled, and its picture decoded, only while it is near the window.

const cards = new Map(); // sample key -> li
const sampleOfCard = new WeakMap();
const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) fillCard(entry.target);
      else emptyCard(entry.target);
    }
  },
  { rootMargin: "300px 0px", scrollMargin: "300px 0px" }, // the window scrolls where it is narrow, else the list does
);

function cardOf(sample) {
  if (!cards.has(sample.key)) {
    const button = element("button", { type: "button", class: "card", tabindex: "-1" });
    const card = element("li", {}, button);
    sampleOfCard.set(card, sample);
    cards.set(sample.key, card);
    near.observe(card);
  }
  return cards.get(sample.key);
}

function emptyCard(card) {
  card.firstChild.replaceChildren();
  delete card.dataset.filled;
}

function fillCard(card) {
  const sample = sampleOfCard.get(card);
  card.dataset.filled = "";
  card.firstChild.replaceChildren(cardFace(sample), ...cardCaption(sample));
  markCard(sample);
}

function cardFace(sample) {
  if (sample.picture || sample.overlays) {
    return element("span", { class: "face" }, ...layers(sample));
  }
  if (!sample.text) return "";
  const words = element("span", { class: "face words" });
  words.textContent = excerpt(sample);
  return words;
}

function excerpt(sample) {
  const lines = sample.text.map(([name, value]) => (name ? `${name}: ${value}` : value));
  return lines.join("\n").slice(0, 300);
}

function cardCaption(sample) {
  const name = element("span", { class: "name" });
  name.textContent = sampleName(sample);
  const verdict = element("span", { class: "verdict" });
  const subject = sample.class !== null && sample.class !== undefined ? `${className(sample.class)} ` : "";
  const given = element("b", { class: sample.label === undefined ? "" : "label" });
  given.textContent = `${subject}${valueName(sample.label)}`;
  given.title = given.textContent;
  verdict.append(given);
  if (hasSuggestion(sample)) {
    // on a line of its own: a long label must not push it out of sight
    const suggested = element("b", { class: "suggested" });
    suggested.textContent = `→ ${valueName(sample.suggested)}`;
    suggested.title = valueName(sample.suggested);
    verdict.append(suggested);
  }
  const bar = sample.p_wrong === null || sample.p_wrong === undefined ? null : element("span", { class: "bar thin" });
  if (bar) {
    bar.append(element("i"));
    bar.firstChild.style.setProperty("--share", sample.p_wrong);
    bar.title = `wrong with probability ${percent(sample.p_wrong)}`;
  }
  return [verdict, name, bar, element("span", { class: "badge", "aria-hidden": "true" })].filter(Boolean);
}

function markCard(sample) {
  const button = cards.get(sample.key)?.firstChild;
  if (!button) return;
  const record = store.of(sample);
  button.dataset.decision = record?.decision ?? "";
  const badge = button.querySelector(".badge");
  if (badge) badge.textContent = record ? DECISIONS[record.decision].sign : "";
  const words = [sampleName(sample), className(sample.class), `labelled ${valueName(sample.label) || "by a mask"}`];
  if (hasSuggestion(sample)) words.push(`suggested ${valueName(sample.suggested)}`);
  words.push(record ? DECISIONS[record.decision].word : "undecided");
  button.setAttribute("aria-label", words.filter(Boolean).join(", "));
}

function showCards() {
  byId("cards").replaceChildren(...view.shown.map(cardOf));
  byId("nothing").hidden = view.shown.length > 0;
  byId("shown").textContent =
    view.shown.length === samples.length
      ? `${samples.length.toLocaleString("en")} samples`
      : `${view.shown.length.toLocaleString("en")} of ${samples.length.toLocaleString("en")} samples`;
}
