"""Which vote decides a label, and where reviewers disagree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evaltool.errors import EvaltoolError
from evaltool.relabel.labels import Labels
from evaltool.relabel.patches import Patches
from evaltool.relabel.votes import NAMED, REDRAW, Vote, by_label


def latest(votes: Sequence[Vote]) -> tuple[list[Vote], list[Vote]]:
    """Return the last vote of each reviewer on each label, and those that it replaces.

    Only times say which is later: without them, votes that differ are a conflict.
    """
    last: dict[Any, Vote] = {}
    for vote in votes:
        key: tuple[Any, ...] = (*vote.key, vote.decision.reviewer)
        before = last.get(key)
        untimed = before is not None and not (before.decision.time and vote.decision.time)
        if before is not None and untimed and before.new != vote.new:
            last[(*key, vote.decision.where)] = vote
        elif before is None or vote.decision.time >= before.decision.time:
            last[key] = vote
    kept = set(map(id, last.values()))
    return list(last.values()), [vote for vote in votes if id(vote) not in kept]


def redrawn(votes: Sequence[Vote]) -> list[Vote]:
    """Return the votes, without the wish for another mask where somebody has painted it."""
    painted = {vote.key for vote in votes if vote.decision.strokes or vote.decision.blank}
    return [replace(vote, new=None) if vote.new == REDRAW and vote.key in painted else vote for vote in votes]


def chosen_of(
    votes: Sequence[Vote], on_conflict: str, labels: Labels, patches: Patches | None
) -> tuple[dict[Any, Vote], list[list[Vote]]]:
    """Return the vote that decides each label, and the votes on each label that reviewers disagree about.

    Args:
        votes: the last of each reviewer on each label.
        on_conflict: "error", "majority" or "keep".
        labels: of the run.
        patches: of segmentation, where votes on a whole mask and on one class of it meet.

    Raises:
        EvaltoolError: they disagree, and ``on_conflict`` is "error".
    """
    chosen: dict[Any, Vote] = {}
    conflicts = []
    decided = {key: [vote for vote in cast if vote.new is not None] for key, cast in by_label(votes).items()}
    for key, cast in decided.items():
        counts = Counter(vote.new for vote in cast).most_common()
        if len(counts) > 1:
            conflicts.append(cast)
            if on_conflict != "majority" or counts[0][1] * 2 <= len(cast):
                continue
        if counts:
            chosen[key] = next(vote for vote in cast if vote.new == counts[0][0])
    if patches is not None:
        conflicts += _across(decided, chosen, on_conflict, patches)
    if conflicts and on_conflict == "error":
        shown = "\n  ".join(_said(labels, cast) for cast in conflicts[:NAMED])
        more = f"\n  and {len(conflicts) - NAMED} more" if len(conflicts) > NAMED else ""
        raise EvaltoolError(
            f"reviewers disagree ({len(conflicts)} {'label' if len(conflicts) == 1 else 'labels'})\n  {shown}{more}\n"
            "  Settle them, or pass --on-conflict majority or keep."
        )
    return chosen, conflicts


def _across(
    decided: dict[Any, list[Vote]], chosen: dict[Any, Vote], on_conflict: str, patches: Patches
) -> list[list[Vote]]:
    """Return the votes that disagree about one class of a mask: some on that class, some on the whole mask.

    What loses is taken out of ``chosen``.
    """
    conflicts = []
    for (index, class_), cast in decided.items():
        of_class = [vote for vote in cast if class_ is not None]
        whole = [vote for vote in decided.get((index, None), []) if vote.new != REDRAW]
        if not of_class or not whole:
            continue
        means = {id(vote): _meaning(vote, class_, patches) for vote in (*of_class, *whole)}
        counts = Counter(means.values()).most_common()
        if len(counts) == 1:
            continue
        conflicts.append([*of_class, *whole])
        majority = on_conflict == "majority" and counts[0][1] * 2 > len(means)
        for key in ((index, class_), (index, None)):
            winner = chosen.get(key)
            if winner is not None and not (majority and means.get(id(winner), counts[0][0]) == counts[0][0]):
                del chosen[key]
    return conflicts


def _meaning(vote: Vote, class_: int, patches: Patches) -> str:
    return patches.digest_of_class(None if vote.new == "" else vote.decision, vote.index, vote.class_, class_)


def _said(labels: Labels, votes: Sequence[Vote]) -> str:
    said = ", ".join(f"{v.decision.reviewer}: {named(labels, v.new)}" for v in votes)
    about = f", class {labels.names[votes[0].class_]}" if votes[0].class_ is not None else ""
    return f"index {votes[0].index}{about}: {said}"


def named(labels: Labels, label: int | str | None) -> str:
    """Return what a vote says, in words."""
    if label == REDRAW:
        return "to be redrawn"
    if isinstance(label, str):
        return f"mask {label[:8]}" if label else "the old mask"
    return labels.name(label)
