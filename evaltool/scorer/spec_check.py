"""Does a SPEC fit the job: its task, its labels, its number of classes."""

from collections.abc import Mapping
from typing import Any

from evaltool.catalogue import CATALOGUE, LossSpec
from evaltool.detect import Decision
from evaltool.errors import EvaltoolError


def check_fits(spec: LossSpec, decision: Decision) -> None:
    """Raise EvaltoolError if a loss is none of the task or of its labels."""
    entry, task = spec.entry, decision.task
    if not entry.fits(task, decision.foreground):
        what, hint = "", f"`evaltool losses --task {task}` lists those that do."
        if task in entry.tasks:
            what, hint = " with several classes", f"Of a {task} it takes one foreground class, [N, *S] or [N, 1, *S]."
        raise EvaltoolError(
            f"the loss {spec.name} does not fit the task {task}{what}\n  {spec.name} is for {', '.join(entry.tasks)}\n"
            f"  {hint}"
        )
    if decision.soft_labels and not entry.soft_labels:
        others = [name for name, other in CATALOGUE.items() if other.soft_labels and task in other.tasks]
        raise EvaltoolError(
            f"the loss {spec.name} does not fit soft labels\n  labels are shares of the classes, [N, C]; it takes one "
            f"class per sample\n  Use one of {', '.join(others)}; or save labels.argmax(axis=1)."
        )
    if decision.fractions and entry.zero_or_one:
        raise EvaltoolError(
            f"the loss {spec.name} does not fit soft labels\n  labels lie between 0 and 1; it takes 0 and 1 alone\n"
            "  Leave it out, or save labels > 0.5."
        )
    needed = entry.needs.get(task)
    if needed and spec.parameters.get(needed) is None:
        raise EvaltoolError(
            f"the loss {spec.name} is 0 for every sample of the task {task}\n  it balances the labels within a sample, "
            f"and a sample has one label\n  Give {needed} a number, as in --loss {spec.name}:{needed}=0.5."
        )


def check_lengths(spec: LossSpec, parameters: Mapping[str, Any], decision: Decision) -> None:
    """Raise EvaltoolError if a parameter holds neither one number nor one per class."""
    entry = spec.entry
    outputs = entry.outputs(decision.task, decision.foreground)
    for name, value in parameters.items():
        got = len(value) if isinstance(value, list) else 1
        if value is None or entry.is_pair(name, outputs):
            continue
        if outputs == "sigmoid" and got != 1:
            raise EvaltoolError(
                f"{name} of the loss {spec.name} is one number\n  got {got} numbers, expected 1: there is one score "
                "per sample or position\n  Both labels apart have pos_weight and neg_weight (bce) and "
                "alpha=negatives,positives (binary-focal)."
            )
        expected = [decision.num_classes] if name in entry.counted else [1, decision.num_classes]
        if got not in expected:
            raise EvaltoolError(
                f"{name} of the loss {spec.name} is not one number per class\n  got {got} numbers, expected "
                f"{' or '.join(map(str, expected))} = C\n  Give one number per class, in the order of the class "
                "indices."
            )
