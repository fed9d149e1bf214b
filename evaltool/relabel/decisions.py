"""Decisions of reviewers, as the files of three tools say them."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaltool.errors import EvaltoolError
from evaltool.schema import DECISION_COLUMNS, DECISIONS
from evaltool.spreadsheets import unguarded

NAMED_BESIDE = ("class", "label", "suggested")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Stroke:
    """A region that a reviewer painted, decoded when it is needed."""

    label: str
    mask: Callable[[], Array]  # bool [H, W]; ValueError where the file is broken


@dataclass(frozen=True)
class Decision:
    """One reviewer's word about one row; texts as in the file, "" for what it does not say."""

    source: str  # the file
    place: str  # "line 3", "task 17"
    decision: str  # one of schema.DECISIONS
    index: str = ""
    id: str = ""
    file_name: str = ""  # of the picture, where a tool knows a sample by that alone
    class_: str = ""  # multilabel and per-class lists: the class in question
    given: str = ""  # the label that the reviewer saw
    suggested: str = ""
    new_label: str = ""
    reviewer: str = ""
    time: str = ""
    strokes: tuple[Stroke, ...] = ()
    untouched: bool = False  # of CVAT: as evaltool wrote it
    blank: bool = False  # handed in with nothing on it: of a mask, that nothing is there

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.source}, {self.place}"


def read_decisions(path: Path) -> list[Decision]:
    """Return the decisions of a file: the gallery's .csv, Label Studio's .json, CVAT's .xml or the .zip around it.

    Raises:
        EvaltoolError: the file cannot be read, or holds something else.
    """
    from evaltool.relabel.cvat import read_cvat
    from evaltool.relabel.label_studio import read_label_studio

    readers: dict[str, Callable[[Path, bytes], list[Decision]]] = {
        ".csv": read_csv,
        ".json": read_label_studio,
        ".xml": read_cvat,
        ".zip": read_cvat,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise EvaltoolError(
            f"these are no decisions\n  {path}: {path.suffix or 'no suffix'}, expected {', '.join(readers)}\n"
            "  Give the gallery's CSV, Label Studio's JSON or CVAT's XML."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EvaltoolError(f"cannot read the decisions\n  {path}: {error.strerror}\n  Check the path.") from None
    return reader(path, content)


def read_csv(path: Path, content: bytes) -> list[Decision]:
    """Return the decisions of the gallery's CSV, or of one that people wrote: columns as ``schema.DECISION_COLUMNS``.

    ``decision`` and ``index`` or ``id`` have to be there.  Apostrophes that keep spreadsheets from computing a cell
    are taken away.
    """
    try:
        text = content.decode("utf-8-sig")
        # Excel writes semicolons where the comma is the decimal sign
        semicolons = ";" in text.partition("\n")[0] and "," not in text.partition("\n")[0]
        delimiter = ";" if semicolons else ","
        lines = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        columns = set(lines.fieldnames or ())
        if "decision" not in columns or not columns & {"index", "id"}:
            found = ", ".join(map(repr, lines.fieldnames or ())) or "none"
            raise EvaltoolError(
                f"these are no decisions\n  {path}: the columns {found}, "
                f"expected decision, index or id, and any other of {', '.join(DECISION_COLUMNS)}\n"
                "  Give the CSV that the gallery saved."
            )
        twice = [name for name, n in Counter(lines.fieldnames or ()).items() if n > 1 and name in DECISION_COLUMNS]
        if twice:
            raise EvaltoolError(
                f"a column is there twice\n  {path}: {', '.join(twice)}\n  Leave one of them, or rename the other."
            )
        return list(_rows(path, lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise EvaltoolError(f"this is no CSV\n  {path}: {error}\n  Save it as CSV in UTF-8.") from None


def _rows(path: Path, lines: "csv.DictReader[str]") -> Iterator[Decision]:
    for cells in lines:
        if None in cells or None in cells.values():
            raise EvaltoolError(
                f"a row has another number of cells than the header\n  {path}, line {lines.line_num}\n  Mend the row."
            )
        known = {name: unguarded(cells[name]) for name in DECISION_COLUMNS if name in cells}
        # a list of mine has indices in these columns, and where classes have names, those beside them
        known |= {name: unguarded(cells[f"{name}_name"]) for name in NAMED_BESIDE if f"{name}_name" in cells}
        decision = known["decision"].strip().lower()
        if not decision:
            continue  # nobody decided it
        if decision not in DECISIONS:
            raise EvaltoolError(
                f"this is no decision\n  {path}, line {lines.line_num}: {known['decision']!r}, expected "
                f"{', '.join(DECISIONS)}\n  Mend the row."
            )
        yield Decision(
            source=path.name,
            place=f"line {lines.line_num}",
            decision=decision,
            index=known.get("index", "").strip().removesuffix(".0"),
            id=known.get("id", ""),
            class_=known.get("class", ""),
            given=known.get("label", ""),
            suggested=known.get("suggested", ""),
            new_label=known.get("new_label", ""),
            reviewer=known.get("reviewer", "") or str(path),
            time=known.get("time", ""),
        )
