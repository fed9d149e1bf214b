"""Decisions matched with the samples of a run: who votes for which label of which sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from evaltool.errors import EvaltoolError
from evaltool.relabel.decisions import Decision
from evaltool.relabel.labels import Labels
from evaltool.relabel.patches import Patches, unknown_class
from evaltool.run.reader import Run

DECIDED = ("accept", "keep", "relabel")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
REDRAW = "redraw"  # in place of a digest: the mask is wrong, and nobody has painted another
NAMED = 5  # how many of many an error names


@dataclass(frozen=True)
class Vote:
    """One reviewer's word about one label."""

    index: int
    class_: int | None  # multilabel and per-class lists
    id: str
    old: int | None  # None of masks
    new: int | str | None  # a label; of masks a digest, "" for the old mask or REDRAW; None where nothing was decided
    suggested: int | None
    decision: Decision

    @property
    def key(self) -> tuple[int, int | None]:
        """What is voted on."""
        return self.index, self.class_

    @property
    def changes(self) -> bool:
        """Whether the label would be another."""
        return self.new is not None and self.new != ("" if self.old is None else self.old)


def votes_of(
    run: Run, labels: Labels, decisions: Sequence[Decision], *, patches: Patches | None, ids: "pa.Array[Any] | None"
) -> list[Vote]:
    """Return a vote per decision.

    Args:
        run: the run that was mined.
        labels: of the run.
        decisions: what reviewers said.
        patches: of segmentation.
        ids: one per sample, where the run has none or others.

    Raises:
        EvaltoolError: an id or index is not in the run, id and index disagree, a class is not in the list, or the label
            that the reviewer saw is not the label that is there.
    """
    indices = _indices(run, decisions, ids)
    return [_vote(labels, decision, index, patches) for decision, index in zip(decisions, indices, strict=True)]


def by_label(votes: Sequence[Vote]) -> dict[tuple[int, int | None], list[Vote]]:
    """Return the votes on each label."""
    found: dict[tuple[int, int | None], list[Vote]] = {}
    for vote in votes:
        found.setdefault(vote.key, []).append(vote)
    return found


def _vote(labels: Labels, decision: Decision, index: int, patches: Patches | None) -> Vote:
    class_ = None
    if decision.class_:
        class_ = labels.class_number(decision.class_)
        if class_ is None:
            raise unknown_class(decision, decision.class_, labels, labels.names)
    if patches is not None:
        return _vote_on_mask(labels, decision, index, class_, patches)
    if labels.task == "multilabel" and class_ is None:
        raise EvaltoolError(
            f"which class is this about?\n  {decision.where}: no class, and the run is multilabel\n"
            "  Give the column class."
        )
    class_ = class_ if labels.task == "multilabel" else None
    old = labels.label(index, class_)
    _check_given(labels, decision, index, old)
    suggested = labels.number(decision.suggested) if decision.suggested else None
    return Vote(index, class_, decision.id, old, _new_label(labels, decision, old), suggested, decision)


def _vote_on_mask(labels: Labels, decision: Decision, index: int, class_: int | None, patches: Patches) -> Vote:
    """Return a vote on a mask, or on one class of it: one that is painted or to be redrawn is so as a whole."""
    if decision.blank and labels.foreground:
        decision = replace(decision, decision="relabel")  # all of it is background
    painted = bool(decision.strokes) or (decision.blank and labels.foreground)
    if painted or decision.decision not in ("accept", "keep"):
        class_ = None
    new: int | str | None = None
    if decision.decision == "keep":
        new = ""
    elif decision.decision == "accept" or (decision.decision == "relabel" and painted):
        new = patches.digest(decision, index, class_)
    elif decision.decision == "relabel":
        new = REDRAW
    return Vote(index, class_, decision.id, None, new, None, decision)


def _new_label(labels: Labels, decision: Decision, old: int) -> int | None:
    if decision.decision not in DECIDED:
        return None
    if decision.decision == "keep":
        return old
    text = decision.new_label or (decision.suggested if decision.decision == "accept" else "")
    if not text:
        raise EvaltoolError(
            f"there is no new label\n  {decision.where}: {decision.decision} without new_label\n"
            "  Fill in new_label, or write keep."
        )
    label = labels.number(text)
    if label is None:
        raise unknown_class(decision, text, labels, labels.of_sample)
    labels.check_holds(label, decision.where)
    return label


def _check_given(labels: Labels, decision: Decision, index: int, old: int) -> None:
    """Raise EvaltoolError if the reviewer saw another label than the one that is there."""
    if not decision.given:
        return
    seen = labels.number(decision.given)
    if seen is None and decision.given.strip() == str(old):
        return  # a label that is no class, such as one that is ignored
    if seen != old:
        raise EvaltoolError(
            f"the label is not the one that was reviewed\n  {decision.where}: index {index} was {decision.given!r}, "
            f"and is {labels.name(old)!r}\n  Apply the decisions to the run that was mined."
        )


def _indices(run: Run, decisions: Sequence[Decision], ids: "pa.Array[Any] | None") -> list[int]:
    """Return the index of each decision's sample."""
    by_id = _Ids(run, ids, decisions)
    unknown: list[Decision] = []
    indices = []
    for decision in decisions:
        index = int(decision.index) if _is_index(decision.index) else None
        if decision.index and (index is None or index >= run.n_samples):
            unknown.append(decision)
        elif index is not None:
            by_id.check(decision, index)
        else:
            index = by_id.find(decision)
            if index is None:
                unknown.append(decision)
        indices.append(-1 if index is None else index)
    if unknown:
        shown = "\n  ".join(
            f"{d.where}: {d.index or d.id or d.file_name or 'neither id nor index'}" for d in unknown[:NAMED]
        )
        more = f"\n  and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        raise EvaltoolError(
            f"these samples are not in the run\n  {shown}{more}\n"
            f"  {run.name} has {run.n_samples} samples{'' if by_id.known else ' and no ids: pass --ids FILE'}."
        )
    return indices


class _Ids:
    """The ids of a run that decisions name, found in one pass."""

    def __init__(self, run: Run, ids: "pa.Array[Any] | None", decisions: Sequence[Decision]) -> None:
        self.known = ids is not None or "id" in run.schema.names
        wanted = {d.id for d in decisions if d.id} | {name for d in decisions for name in _names(d.file_name)}
        self._indices: dict[str, list[int]] = {}
        self._n = run.n_samples
        names = pa.array(sorted(wanted), pa.string())
        start = 0
        for column in self._columns(run, ids) if self.known else ():
            texts = pc.cast(column, pa.string())
            for place in pc.indices_nonzero(pc.is_in(texts, value_set=names)).to_pylist():
                self._indices.setdefault(texts[place].as_py(), []).append(start + place)
            start += len(texts)

    @staticmethod
    def _columns(run: Run, ids: "pa.Array[Any] | None") -> Any:
        return [ids] if ids is not None else (batch.column("id") for batch in run.batches(["id"]))

    def find(self, decision: Decision) -> int | None:
        """Return the index of a decision's id, or of its file: named by an id, or without ids by the index."""
        names = [decision.id] if decision.id else _names(decision.file_name)
        found = next((self._indices[name] for name in names if name in self._indices), [])
        if len(found) > 1:
            raise EvaltoolError(
                f"several samples have this id\n  {decision.where}: {names[0]!r} at index "
                f"{', '.join(map(str, found[:NAMED]))}\n  Give the column index too."
            )
        if found:
            return found[0]
        stem = names[-1] if names and not decision.id else ""
        return int(stem) if not self.known and _is_index(stem) and int(stem) < self._n else None

    def check(self, decision: Decision, index: int) -> None:
        """Raise EvaltoolError if the sample at an index has another id."""
        if decision.id and self.known and index not in self._indices.get(decision.id, []):
            raise EvaltoolError(
                f"id and index are of different samples\n  {decision.where}: index {index}, id {decision.id!r}\n"
                "  Apply the decisions to the run that was mined, or leave one of the columns out."
            )


def _names(file_name: str) -> list[str]:
    """Return the ids that a picture's name can stand for: the whole name, and that without a picture's suffix."""
    path = Path(file_name)
    stems = [path.stem] if path.suffix.lower() in SUFFIXES else []
    return [file_name, *stems] if file_name else []


def _is_index(text: str) -> bool:
    return text.isdecimal() and len(text) < 19
