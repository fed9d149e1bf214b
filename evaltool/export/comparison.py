"""A file's values beside the same formulas in float64, on the hard cases."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from evaltool.artifacts.signature import Signature, named_outputs
from evaltool.errors import EvaltoolError
from evaltool.export.hard_cases import GRID_END, Case, hard_cases
from evaltool.export.subject import Subject, module_of, output_names

LIMIT = 1e-5  # design.md, targets
SMALLEST = torch.finfo(torch.float32).tiny  # below it float32 has fewer digits the smaller the number
# a root of what float32 holds to few digits, or not at all
LARGEST = {"focal-tversky": 30.0}
# differences of what is in [-1, 1]: their error is taken as it is
CLOSE_TO_ZERO = ("margin", "calibration-error")
# metrics that count in bins: a number on a bin's edge may fall to either side in float32
BINNED = ("auroc", "average-precision", "calibration-error", "loss-histogram", "loss-quantiles")
EDGE = 2.0**-21  # relative; four times the spacing of float32
MOVES = 4
MERGED = "merged"  # a TorchScript metric's value of the same batch in parts

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
    return {case.name: _worst(run, oracle, subject, case) for case in cases}


@torch.no_grad()
def _worst(run: Run, oracle: torch.nn.Module, subject: Subject, case: Case) -> float:
    preds = case.preds.to(torch.float64)
    labels = case.labels.to(torch.float64) if case.labels.is_floating_point() else case.labels
    expected = named_outputs(oracle(preds, labels), output_names(subject))
    try:
        found = run(case.preds, case.labels)
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise EvaltoolError(f"it fails in the case {case.name!r}\n  {reason}\n  Export it again.") from error
    if subject["kind"] == "metric":
        wanted, metric = expected["value"], subject["metric"]
        slack = None
        if metric in BINNED:
            own = (oracle(case.preds, labels) - wanted).abs().nan_to_num(0)  # the module's, in its usual precision
            slack = 2 * torch.maximum(own, _edge_moves(oracle, preds, labels, wanted, subject["preds_are"]))
        ours = "value" in found and found.keys() <= {"value", MERGED}
        return max(error_of(metric, value, wanted, slack) for value in found.values()) if ours else torch.inf
    if list(found) != list(expected):
        return torch.inf
    return max(error_of(name, found[name], wanted) for name, wanted in expected.items())


def _edge_moves(oracle: torch.nn.Module, preds: Tensor, labels: Tensor, value: Tensor, preds_are: str) -> Tensor:
    """Return how far a value moves with the numbers that float32 may put on the other side of a bin's edge.

    Each pred is moved a few of float32's spacings, one way and then the other, several times: classes that happen to
    move together stay as far apart as they were.
    """
    generator = torch.Generator().manual_seed(21)
    most = torch.zeros_like(value)
    for _ in range(MOVES):
        signs = torch.randint(0, 2, preds.shape, generator=generator) * 2 - 1
        for step in (EDGE, -EDGE):
            moved = preds * (1 + step * signs)
            if preds_are == "logits":  # the odds of small logits are rounded as those of 1
                moved = moved + step * signs
            if preds_are == "probs":
                moved = moved.clamp(max=1.0)
            most = torch.maximum(most, (oracle(moved, labels) - value).abs().nan_to_num(0))
    return most


def error_of(name: str, found: Tensor, wanted: Tensor, slack: Tensor | None = None) -> float:
    """Return the largest error of an output; inf where a shape, a NaN, an infinity or an integer differs.

    Args:
        name: of the output, or of the metric.
        found: what a file computed.
        wanted: the same in float64.
        slack: what each value may differ by besides.
    """
    slack = torch.zeros_like(wanted) if slack is None else slack
    found = found.detach().cpu()
    if found.shape != wanted.shape or found.is_floating_point() != wanted.is_floating_point():
        return torch.inf
    if found.numel() == 0:
        return 0.0
    if not wanted.is_floating_point():
        return 0.0 if bool(((found - wanted).abs() <= slack).all()) else torch.inf
    found = found.to(torch.float64)
    same = (found == wanted) | (found.isnan() & wanted.isnan())
    finite = found.isfinite() & wanted.isfinite()
    if not bool((same | finite).all()):
        return torch.inf
    scale = torch.ones_like(wanted) if name in CLOSE_TO_ZERO else wanted.abs().clamp(min=SMALLEST)
    beyond = ((found - wanted).abs() - slack).clamp(min=0)
    return float(torch.where(same, 0.0, beyond / scale).max())
