"""A file's values beside the same formulas in float64, on the hard cases."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from evaltool.artifacts.signature import Signature, named_outputs
from evaltool.errors import EvaltoolError
from evaltool.export.hard_cases import GRID_END, Case, hard_cases
from evaltool.export.subject import Subject, module_of

LIMIT = 1e-5  # design.md, targets
SMALLEST = torch.finfo(torch.float32).tiny  # below it float32 has fewer digits the smaller the number
# a root of what float32 holds to few digits, or not at all
LARGEST = {"focal-tversky": 30.0}
CLOSE_TO_ZERO = ("margin",)  # a mean of both signs, in [-1, 1]: its error is taken as it is

Run = Callable[[Tensor, Tensor], Mapping[str, Tensor]]


def worst_errors(run: Run, subject: Subject, signature: Signature) -> dict[str, float]:
    """Return the worst error of each case: relative to the value in float64; inf where something differs in kind.

    Args:
        run: computes the outputs by name from preds and labels.
        subject: what it has to compute.
        signature: what it takes.

    Raises:
        EvaltoolError: it fails in a case.
    """
    oracle = module_of(subject)
    losses = [subject["loss"]] if subject["kind"] == "loss" else [item["loss"] for item in subject["losses"]]
    largest = min((LARGEST.get(loss, GRID_END) for loss in losses), default=GRID_END)
    cases = hard_cases(signature, subject["preds_are"], subject["ignore_index"], largest=largest)
    return {case.name: _worst(run, oracle, case) for case in cases}


@torch.no_grad()
def _worst(run: Run, oracle: torch.nn.Module, case: Case) -> float:
    labels = case.labels.to(torch.float64) if case.labels.is_floating_point() else case.labels
    expected = named_outputs(oracle(case.preds.to(torch.float64), labels), ["loss"])
    try:
        found = run(case.preds, case.labels)
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise EvaltoolError(f"it fails in the case {case.name!r}\n  {reason}\n  Export it again.") from error
    if list(found) != list(expected):
        return torch.inf
    return max(error_of(name, found[name], wanted) for name, wanted in expected.items())


def error_of(name: str, found: Tensor, wanted: Tensor) -> float:
    """Return the largest error of an output; inf where a shape, a NaN, an infinity or an integer differs."""
    found = found.detach().cpu()
    if found.shape != wanted.shape or found.is_floating_point() != wanted.is_floating_point():
        return torch.inf
    if found.numel() == 0:
        return 0.0
    if not wanted.is_floating_point():
        return 0.0 if bool((found == wanted).all()) else torch.inf
    found = found.to(torch.float64)
    same = (found == wanted) | (found.isnan() & wanted.isnan())
    finite = found.isfinite() & wanted.isfinite()
    if not bool((same | finite).all()):
        return torch.inf
    scale = torch.ones_like(wanted) if name in CLOSE_TO_ZERO else wanted.abs().clamp(min=SMALLEST)
    return float(torch.where(same, 0.0, (found - wanted).abs() / scale).max())
