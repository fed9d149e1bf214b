// A sample's picture with its masks above it, and the box of its worst region.

// the prediction waits: above the label it would hide it
const masks = { label: true, prediction: false, disagreement: true, opacity: 0.45 };
const MASK_NAMES = config.masks;

function layers(sample) {
  const found = [];
  if (sample.picture) found.push(layer(sample.picture, "picture"));
  for (const name of MASK_NAMES) {
    if (sample.overlays?.[name]) found.push(layer(sample.overlays[name], `mask mask-${name}`));
  }
  return found;
}

function layer(source, kind) {
  const image = element("img", { alt: "", class: kind, decoding: "async", draggable: "false" });
  image.addEventListener("error", () => {
    image.replaceWith(element("span", { class: "lost" }, "The picture is not where the list says"));
  });
  image.addEventListener("load", () => {
    // few pixels are shown as they are, not smoothed into fog
    image.classList.toggle("few", Math.max(image.naturalWidth, image.naturalHeight) <= 64);
  });
  image.src = source;
  return image;
}

function stage(sample) {
  const shown = element("div", { class: "stage" }, ...layers(sample));
  const picture = shown.querySelector(".picture, .mask");
  if (picture) picture.alt = `sample ${sampleName(sample)}`;
  const [width, height] = sample.size ?? [1, 1];
  shown.style.setProperty("--ratio", width / height);
  // a browser turns a photograph upright whose file says so, and knows the size of one behind an address
  picture?.addEventListener("load", () => {
    shown.style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
  });
  if (sample.box) {
    const box = element("span", { class: "box", title: "the worst region" });
    ["left", "top", "width", "height"].forEach((side, at) => {
      box.style.setProperty(side, `${100 * sample.box[at]}%`);
    });
    shown.append(box);
  }
  return shown;
}

function applyMasks() {
  const root = document.documentElement;
  root.style.setProperty("--opacity", masks.opacity);
  for (const name of MASK_NAMES) {
    root.classList.toggle(`no-${name}`, !masks[name]);
    const box = byId(`mask-${name}`);
    if (box) box.checked = masks[name];
  }
}

function toggleMask(name) {
  masks[name] = !masks[name];
  applyMasks();
}
