"""The samples behind mined rows, as the formats need them: one entry per sample, with its rows and its picture."""

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaltool.errors import EvaltoolError
from evaltool.mine.mined import Masks, Mined, Row
from evaltool.mine.pictures import Picture, Pictures
from evaltool.partial_files import whole_folder

MARK = "mined.json"  # in every folder that a format writes: which file shows which sample
NOTED = ("index", "id", "given", "suggested", "pred", "score", "by", "p_wrong", "p_suggested", "why", "group")


@dataclass
class Sample:
    """One sample: its rows in list order (several in multilabel and per-class runs), and what it is called."""

    index: int
    id: Any
    rows: list[Row]
    picture: Picture | None
    name: str  # file name, one per sample

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem


def samples_of(mined: Mined, pictures: Pictures | None) -> list[Sample]:
    """Return the samples of mined rows, in the order in which they come first.

    Raises:
        EvaltoolError: a sample has no picture, or a multilabel row no class to ask about.
    """
    if mined.run.task == "multilabel" and any(row.get("class") is None for row in mined.rows()):
        raise EvaltoolError(
            f"which class is to be reviewed?\n  {mined.run.name}: multilabel rows without a class\n"
            "  Rank by label-error or ambiguous, which look at classes, or choose another format, such as csv."
        )
    found: dict[int, Sample] = {}
    stems: set[str] = set()
    for row in mined.rows():
        index = int(row["index"])
        if index in found:
            found[index].rows.append(row)
            continue
        picture = None if pictures is None else pictures.of(row)
        key = row.get("id")
        name = _file_name(str(index if key is None else key)) if picture is None else picture.name
        if Path(name).stem.lower() in stems:  # files of one name in several folders
            name = f"{index}_{name}"
        stems.add(Path(name).stem.lower())
        found[index] = Sample(index, key, [row], picture, name)
    return list(found.values())


def label_of(mined: Mined, row: Row, shown: str) -> int | None:
    """Return the label to put in a file: the suggested one where asked for and there is one, else the given one."""
    suggested = row.get("suggested") if shown == "suggested" else None
    chosen = row.get("label") if suggested is None else suggested
    return chosen if mined.name_of(chosen) is not None else None


def notes_of(mined: Mined, row: Row) -> dict[str, Any]:
    """Return what is known of a row in words and finite numbers, for the fields a tool shows beside a sample."""
    known = {**row, "given": mined.name_of(row.get("label")), "suggested": mined.name_of(row.get("suggested"))}
    known["pred"] = mined.name_of(row.get("pred"))
    noted = {key: known[key] for key in NOTED if known.get(key) is not None}
    if row.get("class") is not None:
        noted["class"] = mined.run.class_names[row["class"]]
    return {key: value for key, value in noted.items() if not isinstance(value, float) or math.isfinite(value)}


def is_segmentation(mined: Mined) -> bool:
    """Whether the samples have masks."""
    return mined.run.task == "segmentation"


def mask_of(masks: Masks, shown: str) -> Any:
    """Return the mask to put in a file: the prediction's, or the label's."""
    return masks.pred if shown == "suggested" else masks.label


def classes_in(mined: Mined, masks: Masks, shown: str) -> Iterator[tuple[int, Any]]:
    """Yield class and bool [H, W] of each class in a mask; not the background of one foreground class."""
    mask = mask_of(masks, shown)
    only = mined.run.manifest["decisions"]["foreground"]
    for k, name in enumerate(mined.run.class_names):
        found = (mask == k) & masks.valid
        if name and found.any() and not (only and k == 0):
            yield k, found


def check_files(pictures: Pictures | None, name: str) -> None:
    """Raise EvaltoolError unless there are pictures that can be read."""
    if pictures is None or pictures.is_url:
        got = "no pictures" if pictures is None else "addresses, which are not fetched"
        raise EvaltoolError(
            f"{name} needs the pictures\n  got {got}, expected a folder, a pattern or an image array\n"
            "  Pass --images DIR, 'DIR/{id}.png' or images.npy."
        )


@contextmanager
def sample_folder(
    output: Path,
    kind: str,
    mined: Mined,
    samples: list[Sample],
    *,
    noted: Sequence[Mapping[str, Any]] | None = None,
    overwrite: bool,
) -> Iterator[Path]:
    """Yield a folder to fill; ``MARK`` in it says which sample each name stands for, and what is ``noted`` of each."""
    with whole_folder(output, overwrite=overwrite, mark=MARK) as folder:
        more = noted or [{}] * len(samples)
        entries = [{"index": s.index, "id": s.id, "name": s.name, **m} for s, m in zip(samples, more, strict=True)]
        write_json(folder / MARK, {"format": kind, "run": mined.run.name, "samples": entries})
        yield folder


def place_picture(picture: Picture, path: Path, *, link: bool) -> None:
    """Put a picture at a path: a PNG of an array, else a copy of its file or a link to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture.path is None:
        path.write_bytes(picture.png())
    elif link:
        path.symlink_to(picture.path.resolve())
    else:
        shutil.copyfile(picture.path, path)


def place_pictures(samples: list[Sample], folder: Path, *, link: bool) -> None:
    """Put the pictures of samples into a folder, under the samples' names; addresses stay where they are."""
    for sample in samples:
        if sample.picture is not None and sample.picture.url is None:
            place_picture(sample.picture, folder / sample.name, link=link)


def write_json(path: Path, value: Any) -> None:
    """Write JSON on few lines; NaN is refused, for JSON has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n", "utf-8")


def _file_name(text: str) -> str:
    return text.replace("/", "_").replace("\\", "_").lstrip(".") or "_"
