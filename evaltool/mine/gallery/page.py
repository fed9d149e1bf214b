"""The page: template, style and scripts in one file that asks nobody for anything."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine.gallery.linked import origin_of
from evaltool.mine.gallery.masks import COLOURS
from evaltool.mine.gallery.samples import Material, losses_of, run_digest, samples_of, values_of
from evaltool.mine.gallery.texts import Texts
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures
from evaltool.partial_files import partial_path

SCRIPTS = (
    *("samples.js", "store.js", "csv.js", "views.js", "pictures.js", "cards.js", "detail.js", "decide.js"),
    *("picker.js", "controls.js", "main.js"),
)
DECISIONS = ("accept", "keep", "relabel", "unsure", "skip")
THUMB = 128  # pixels
Key = tuple[tuple[str, ...], str]  # keys, and what they do
WORDS = {
    "class": {"accept": "Accept suggestion", "keep": "Keep label", "relabel": "Other…", "picker": "Which class?"},
    "presence": {
        "accept": "Accept suggestion",
        "keep": "Keep label",
        "relabel": "Other…",
        "picker": "Absent or present?",
    },
    "number": {"accept": "Accept suggestion", "keep": "Keep label", "relabel": "Other…", "picker": "Which value?"},
    "whole": {"accept": "Take the model's", "keep": "Label is right", "relabel": "Redo", "picker": ""},
}
HELP: tuple[Key, ...] = (
    (("K",), "keep the label: it is right"),
    (("C",), "pick another label, by typing a part of its name"),
    (("U",), "unsure: it cannot be told from this"),
    (("S",), "skip: somebody else should look"),
    (("→", "N"), "next sample"),
    (("←", "P"), "previous sample"),
    (("Home", "End"), "first and last sample shown"),
    (("Z", "Ctrl+Z"), "undo the last decision"),
    (("/",), "filter by text; Esc leaves"),
    (("D",), "download the decisions as CSV"),
    (("?",), "these keys"),
)


class Gallery(NamedTuple):
    """What was written."""

    path: Path
    n_samples: int
    n_bytes: int
    origins: tuple[str, ...]  # that the page loads pictures from; () where it asks nobody


def write_gallery(
    mined: Mined,
    path: str | Path,
    *,
    pictures: Pictures | None = None,
    texts: Texts | None = None,
    masks: bool | None = None,
    blind: bool = False,
    title: str | None = None,
    thumb: int = THUMB,
    link: bool = False,
) -> Gallery:
    """Write the page, a sample at a time; the file appears when it is whole.

    Args:
        mined: the list.
        path: the file to write.
        pictures: of the samples, None for tables and text.
        texts: as ``read_texts`` gives them for the samples of the list.
        masks: draw label and prediction of a segmentation run; None does where ``mined`` has them.
        blind: leave out what the model thinks, and shuffle.
        title: the heading; None names the run.
        thumb: largest side of a picture in the page, in pixels.
        link: show picture files from where they are, by their path relative to the page, instead of a copy inside it.

    Raises:
        EvaltoolError: the list is empty, a picture is missing or unreadable, or there are no masks to draw.
    """
    target = Path(path)
    material = _material(mined, pictures, texts, masks, blind, thumb, target.parent if link else None)
    origins: set[str] = set()
    partial = partial_path(target)
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_pieces(mined, material, title, origins, target.stem))
        n_bytes = partial.stat().st_size
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return Gallery(target, mined.table.num_rows, n_bytes, tuple(sorted(origins)))


def gallery_of(
    mined: Mined,
    *,
    pictures: Pictures | None = None,
    texts: Texts | None = None,
    masks: bool | None = None,
    blind: bool = False,
    title: str | None = None,
    thumb: int = THUMB,
) -> str:
    """Return the page as text.  Arguments and errors as of ``write_gallery``."""
    material = _material(mined, pictures, texts, masks, blind, thumb, None)
    return "".join(_pieces(mined, material, title, set(), mined.run.name))


def _material(
    mined: Mined,
    pictures: Pictures | None,
    texts: Texts | None,
    masks: bool | None,
    blind: bool,
    thumb: int,
    folder: Path | None,
) -> Material:
    if thumb < 1:
        raise ValueError(f"thumb is a number of pixels, got {thumb}")
    if mined.table.num_rows == 0:
        raise EvaltoolError(
            f"there is nothing to review\n  {mined.run.name}: the list has 0 rows\n  Ask for more, or filter less."
        )
    if folder is not None and pictures is None:
        raise EvaltoolError("there are no pictures to link\n  Say where they are: --images DIR.")
    if masks is None:
        inputs = mined.inputs
        masks = mined.run.task == "segmentation" and inputs is not None and len(inputs.labels.shape) in (3, 4)
    return Material(pictures, texts, masks, blind, thumb, folder)


def _pieces(mined: Mined, material: Material, title: str | None, origins: set[str], file: str) -> Iterator[str]:
    """Yield the page; ``origins`` is filled with what its pictures are loaded from."""
    values = values_of(mined)
    script = "".join(f"\n// {name}\n{_asset(name)}" for name in SCRIPTS)
    script = f'"use strict";\n(() => {{{script}}})();\n'
    css = _asset("gallery.css")
    if material.pictures is not None and material.pictures.is_url:
        origins.update(origin_of(material.pictures.of(row).url or "") for row in mined.rows())
    heading = title or f"{mined.run.name}: samples to review"
    n = mined.table.num_rows
    facts = [mined.run.name, mined.run.task, f"{n:,} of {mined.run.n_samples:,} samples"]
    mask_names = ("label",) if material.blind else ("label", "prediction", "disagreement")
    yield from _template().generate(
        policy=_policy(script, css, sorted(origins), linked=material.folder is not None),
        version=evaltool.__version__,
        title=heading,
        subtitle=" · ".join(facts),
        blind=material.blind,
        pictured=material.pictures is not None or material.masks,
        decisions=DECISIONS,
        masks=mask_names,
        words=WORDS[values],
        help=_help(material, values, mask_names),
        css=Markup(css),
        script=Markup(script),
        config=_json(_config(mined, material, values, mask_names, file)),
        samples=_lines(mined, material),
    )


def _config(mined: Mined, material: Material, values: str, masks: tuple[str, ...], file: str) -> dict[str, Any]:
    return {
        "digest": run_digest(mined),
        "file": file,
        "blind": material.blind,
        "task": mined.run.task,
        "values": values,
        "takes_masks": material.masks,
        "classes": mined.run.class_names,
        "losses": [] if material.blind else losses_of(mined),
        "masks": list(masks),
        "colours": list(COLOURS),
    }


def _help(material: Material, values: str, masks: tuple[str, ...]) -> list[Key]:
    accept = "take the model's instead" if values == "whole" else "accept the suggestion"
    keys: list[Key] = [*([] if material.blind else [(("A",), accept)]), *HELP]
    if values == "whole":
        keys = [(key, "neither is right: redo it" if key == ("C",) else what) for key, what in keys]
    if material.masks:
        keys += [((str(number),), f"show or hide the {name} mask") for number, name in enumerate(masks, 1)]
    return keys


def _lines(mined: Mined, material: Material) -> Iterator[Markup]:
    for number, sample in enumerate(samples_of(mined, material)):
        yield Markup(",\n" if number else "") + _json(sample)


def _json(content: Any) -> Markup:
    """Return JSON that no text in it can end: ``<`` stands as an escape, as do & and >."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _policy(script: str, css: str, origins: list[str], *, linked: bool) -> Markup:
    """Return the policy that a browser holds the page to: these scripts, these pictures, and no connection."""
    pictures = ["data:", *(["'self'", "file:"] if linked else []), *origins]
    return Markup(
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(css)}'; "
        f"img-src {' '.join(pictures)}; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return (resources.files("evaltool.mine.gallery") / "assets" / name).read_text("utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_asset("page.html.j2"))
