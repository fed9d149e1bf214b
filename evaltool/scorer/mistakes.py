"""When too many rows are bad: which mistake makes rows bad in just this way."""

from evaltool.block import NO_LABEL
from evaltool.detect import Decision
from evaltool.run.state import State
from evaltool.schema import BAD_STATUSES, STATUSES, is_softmax

NEARLY_ALL = 0.9  # of the bad labels share one value: that value is the mistake


def too_many_bad(state: State, decision: Decision, *, max_bad: float, ignore_index: int) -> str | None:
    """Return the message of a failed ``max_bad``, None where the bad rows are few enough."""
    by_status = dict(zip(STATUSES, state.status.tolist(), strict=True))
    bad = {name: by_status[name] for name in BAD_STATUSES if by_status[name]}
    n_bad, n = sum(bad.values()), state.n_samples
    if n_bad <= max_bad * n:
        return None
    counts = ", ".join(f"{count} {name}" for name, count in bad.items())
    worst = max(bad, key=lambda name: bad[name])
    return (
        f"{n_bad} of {n} rows ({n_bad / n:.1%}) cannot be scored, more than --max-bad {max_bad:g} allows\n"
        f"  {counts}\n  {_hint(worst, state, decision, ignore_index)}"
    )


def _hint(status: str, state: State, decision: Decision, ignore_index: int) -> str:
    softmax = is_softmax(decision.task, decision.foreground)
    if status == "bad_preds":
        kind = decision.preds_are
        rows = "leave [0, 1]" if kind == "probs" else "are above 0"
        if softmax:
            rows += f" or do not sum to 1 within {decision.tolerance:.2g}"
        return f"The predictions do not look like {kind}: wrong --preds-are? These rows {rows}."
    if status == "nonfinite":
        return "The predictions hold NaN or +inf: did the model overflow (half precision), or were rows never filled?"
    c = decision.num_classes
    two = bool(c) and not softmax
    expected = "expected 0 or 1" if two else f"expected 0..{c - 1}" if c else "expected finite numbers"
    counts = {value: count for value, count in state.bad_labels.items() if value != NO_LABEL}
    if not counts:
        return f"The labels are not what the task expects ({expected}, or --ignore-index {ignore_index})."
    most = max(counts, key=lambda value: counts[value])
    if counts[most] > NEARLY_ALL * sum(state.bad_labels.values()):
        if two:
            return (
                f"Their label is {most} ({expected}): pass --ignore-index {most} if that means unlabelled, or save "
                "labels > 0 if it means a class."
            )
        if most == c and not _seen(state, 0):
            return f"The labels run from 1 to {c} where 0..{c - 1} is expected: subtract 1 from them."
        return f"Their label is {most} ({expected}): pass --ignore-index {most} if that means unlabelled."
    span = f"{min(counts)} to {max(counts)}"
    return f"The bad labels lie in {span} ({expected}): wrong --ignore-index, or predictions of fewer classes?"


def _seen(state: State, label: int) -> bool:
    keys = state.confusion[0]
    return bool(((keys // max(state.num_classes, 1)) == label).any())
