"""The page: template, style and scripts in one file that asks nobody for anything."""

import base64
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, Any, NamedTuple

import jinja2
from markupsafe import Markup

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.mine.files import write_files
from evaltool.mine.gallery.linked import origin_of
from evaltool.mine.gallery.masks import COLOURS
from evaltool.mine.gallery.samples import Material, is_by_class, losses_of, run_digest, samples_of, values_of
from evaltool.mine.gallery.texts import Texts
from evaltool.mine.mined import Mined
from evaltool.mine.pictures import Pictures

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
    (("↑", "↓"), "a row of cards up or down"),
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


class Page:
    """The page of a list, checked and ready to be written.

    Args:
        mined: the list.
        pictures: of the samples, None for tables and text.
        texts: as ``read_texts`` gives them for the samples of the list.
        masks: draw label and prediction of a segmentation run; None does where ``mined`` has them.
        blind: leave out what the model thinks, and shuffle.
        title: the heading; None names the run.
        thumb: largest side of a picture in the page, in pixels.
        folder: show picture files from where they are, by their path relative to this folder, in which the page will
            lie, instead of a copy inside it.

    Attributes:
        origins: what the page loads pictures from; () where it asks nobody.

    Raises:
        EvaltoolError: the list is empty, there are no pictures to link, or they are behind no address of the web.
    """

    def __init__(
        self,
        mined: Mined,
        *,
        pictures: Pictures | None = None,
        texts: Texts | None = None,
        masks: bool | None = None,
        blind: bool = False,
        title: str | None = None,
        thumb: int = THUMB,
        folder: Path | None = None,
    ) -> None:
        if thumb < 1:
            raise ValueError(f"thumb is a number of pixels, got {thumb}")
        if mined.table.num_rows == 0:
            raise EvaltoolError(
                f"there is nothing to review\n  {mined.run.name}: the list has 0 rows\n  Ask for more, or filter less."
            )
        if folder is not None and pictures is None:
            raise EvaltoolError("there are no pictures to link\n  the gallery has none\n  Say where: --images DIR.")
        if masks is None:
            inputs = mined.inputs
            masks = mined.run.task == "segmentation" and inputs is not None and len(inputs.labels.shape) in (3, 4)
        self.origins: tuple[str, ...] = ()
        if pictures is not None and pictures.is_url:
            self.origins = tuple(sorted({origin_of(pictures.of(row).url or "") for row in mined.rows()}))
        self._mined = mined
        self._title = title or f"{mined.run.name}: samples to review"
        self._material = Material(pictures, texts, masks, blind, thumb, folder)

    def write(self, file: IO[bytes], name: str) -> None:
        """Write the page, a sample at a time.

        Args:
            file: where to.
            name: what the file of decisions is called after.

        Raises:
            EvaltoolError: a picture is missing or cannot be read.
        """
        for piece in _pieces(self._mined, self._material, self._title, self.origins, name):
            file.write(piece.encode())


def write_gallery(mined: Mined, path: str | Path, *, link: bool = False, **options: Any) -> Gallery:
    """Write the page; the file appears when it is whole.

    Args:
        mined: the list.
        path: the file to write.
        link: show picture files from where they are, by their path relative to the page, instead of a copy inside it.
        options: as of ``Page``, less ``folder``.

    Raises:
        EvaltoolError: as of ``Page``; a picture is missing or unreadable; or the file cannot be written.
    """
    target = Path(path)
    page = Page(mined, folder=target.parent if link else None, **options)
    write_files({target: lambda file: page.write(file, target.stem)})
    return Gallery(target, mined.table.num_rows, target.stat().st_size, page.origins)


def gallery_of(mined: Mined, **options: Any) -> str:
    """Return the page as text.  Options and errors as of ``Page``."""
    file = io.BytesIO()
    Page(mined, **options).write(file, mined.run.name)
    return file.getvalue().decode()


def _pieces(mined: Mined, material: Material, title: str, origins: Sequence[str], file: str) -> Iterator[str]:
    values = values_of(mined)
    script = "".join(f"\n// {name}\n{_asset(name)}" for name in SCRIPTS)
    script = f'"use strict";\n(() => {{{script}}})();\n'
    css = _asset("gallery.css")
    n = mined.table.num_rows
    facts = [mined.run.name, mined.run.task, f"{n:,} of {mined.run.n_samples:,} samples"]
    mask_names = ("label",) if material.blind else ("label", "prediction", "disagreement")
    yield from _template().generate(
        policy=_policy(script, css, origins, linked=material.folder is not None),
        version=evaltool.__version__,
        title=title,
        subtitle=" · ".join(facts),
        blind=material.blind,
        shape="faces" if material.pictures or material.masks else "lines" if material.texts else "plain",
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
        "by_class": is_by_class(mined),
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


def _policy(script: str, css: str, origins: Sequence[str], *, linked: bool) -> Markup:
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
