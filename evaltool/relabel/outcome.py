"""What came of the decisions: how many labels changed, how sure that is, and how far the reviewers agree."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evaltool.errors import EvaltoolError
from evaltool.relabel.agreement import Share, cohen_kappa, fleiss_kappa, pairs_agreeing, share_of
from evaltool.relabel.labels import Labels
from evaltool.relabel.votes import REDRAW, Vote, by_label
from evaltool.run.reader import Run


@dataclass
class Applied:
    """What was decided and done.  Shares have Wilson's 95 % interval."""

    output: str
    audit: str
    n_decisions: int
    n_reviewed: int  # labels that somebody decided
    n_changed: int
    n_kept: int
    n_undecided: int  # unsure or skipped by all who saw them
    n_conflicts: int
    reviewers: dict[str, int]
    wrong: Share  # of the labels that were decided: those that their reviewers call wrong
    suggestions_right: Share | None  # of the wrong ones with a suggestion
    agreement: Share | None  # of pairs of votes on one label
    kappa: float | None
    kappa_of: str | None  # "Cohen" of two reviewers, "Fleiss" of more
    wrong_mined: Share | None = None  # with the key of the random controls: of the mined rows
    wrong_controls: Share | None = None
    lift: float | None = None  # how many times as often mined labels are wrong as random ones
    to_redraw: list[int] = field(default_factory=list)  # indices of masks that are wrong, and not painted anew
    notes: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        named = {key: value._asdict() if isinstance(value, Share) else value for key, value in vars(self).items()}
        return {**asdict(self), **named}


def outcome_of(
    run: Run,
    labels: Labels,
    n_decisions: int,
    votes: Sequence[Vote],
    chosen: dict[Any, Vote],
    conflicts: Sequence[Sequence[Vote]],
    controls: str | Path | None,
    files: tuple[Path, Path],
) -> Applied:
    """Return the outcome.

    Args:
        run: the run.
        labels: its labels.
        n_decisions: as read.
        votes: the last of each reviewer on each label.
        chosen: the vote that decides each label.
        conflicts: the votes on each label that reviewers disagree about.
        controls: the key of the random controls.
        files: the corrected labels and the audit log.

    Raises:
        EvaltoolError: the key cannot be read, or is of another list.
    """
    wrong = [vote for vote in chosen.values() if vote.changes]
    changed = [vote for vote in wrong if vote.new != REDRAW]
    suggested = [vote for vote in changed if vote.suggested is not None]
    decided = [[v for v in cast if v.new is not None] for cast in by_label(votes).values()]
    several = [cast for cast in decided if len(cast) > 1]
    kappa, kappa_of = _kappa(several)
    report = Applied(
        output=str(files[0]),
        audit=str(files[1]),
        n_decisions=n_decisions,
        n_reviewed=sum(bool(cast) for cast in decided),
        n_changed=len(changed),
        n_kept=len(chosen) - len(wrong),
        n_undecided=sum(not cast for cast in decided),
        n_conflicts=len(conflicts),
        reviewers=dict(Counter(vote.decision.reviewer for vote in votes)),
        wrong=share_of(len(wrong), len(chosen)),
        suggestions_right=share_of(sum(v.new == v.suggested for v in suggested), len(suggested)) if suggested else None,
        agreement=share_of(*pairs_agreeing([[v.new for v in cast] for cast in several])) if several else None,
        kappa=None if run.task == "segmentation" else kappa,
        kappa_of=None if run.task == "segmentation" else kappa_of,
        to_redraw=sorted(vote.index for vote in wrong if vote.new == REDRAW),
    )
    if controls is not None:
        _add_controls(report, chosen, _control_keys(Path(controls), labels), labels)
    return report


def _kappa(several: Sequence[Sequence[Vote]]) -> tuple[float | None, str | None]:
    reviewers = sorted({vote.decision.reviewer for cast in several for vote in cast})
    if len(reviewers) == 2:
        ordered = [sorted(cast, key=lambda vote: vote.decision.reviewer) for cast in several]
        return cohen_kappa([(first.new, second.new) for first, second in ordered]), "Cohen"
    if len(reviewers) > 2:
        return fleiss_kappa([[vote.new for vote in cast] for cast in several]), "Fleiss"
    return None, None


def _control_keys(path: Path, labels: Labels) -> dict[Any, bool]:
    """Return, by index and class, whether a row of the key is a random control."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        found = {}
        for row in rows:
            class_ = labels.class_number(row["class"]) if row.get("class") else None
            found[_control_key((int(row["index"]), class_), labels)] = row["control"].strip() in ("1", "true", "True")
    except OSError as error:
        raise EvaltoolError(f"cannot read the key\n  {path}: {error.strerror}\n  Check the path.") from None
    except (UnicodeDecodeError, KeyError, ValueError, AttributeError, csv.Error) as error:
        raise EvaltoolError(
            f"this is no key of random controls\n  {path}: {error}, expected the columns index and control\n"
            "  Give the .controls.csv that evaltool mine wrote."
        ) from None
    return found


def _control_key(key: tuple[int, int | None], labels: Labels) -> tuple[int, int | None]:
    """Return by what a decision finds its row of the key: an image, whatever class the row names, by its index."""
    return (key[0], None) if labels.task == "segmentation" else key


def _add_controls(report: Applied, chosen: dict[Any, Vote], keys: dict[Any, bool], labels: Labels) -> None:
    places = {key: _control_key(key, labels) for key in chosen}
    missing = [key for key, place in places.items() if place not in keys]
    if missing:
        raise EvaltoolError(
            f"the key of the controls is of another list\n  index {missing[0][0]} was decided and is not in the key\n"
            "  Give the .controls.csv of the list that was reviewed."
        )
    for controls in (False, True):
        votes = [vote for key, vote in chosen.items() if keys[places[key]] == controls]
        share = share_of(sum(vote.changes for vote in votes), len(votes))
        setattr(report, "wrong_controls" if controls else "wrong_mined", share)
    mined, base = report.wrong_mined, report.wrong_controls
    if mined and base and mined.value is not None and base.value:
        report.lift = mined.value / base.value
