"""The inputs on which a file has to show that it computes what it says: tails, odd labels, odd sizes, ties."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from evaltool.artifacts.signature import REAL, SOFTMAX, Signature, dtype_of

# where float32 loses a loss that is written without care (design.md, targets)
GRID = torch.tensor([0, 0.1, 1, 10, 30, 88, 100, 1e4], dtype=torch.float64)
GRID_END = 1e4
SIZES = {"N": 24, "C": 4, "S1": 3, "S2": 5, "S3": 2, "S4": 2}


@dataclass(frozen=True)
class Case:
    """Inputs under a name."""

    name: str
    preds: Tensor
    labels: Tensor


def hard_cases(signature: Signature, preds_are: str, ignore_index: int, *, largest: float = GRID_END) -> Iterator[Case]:
    """Yield the cases that inputs of a signature can hold, in its dtypes.

    Args:
        signature: what a file takes.
        preds_are: "logits", "probs" or "log-probs".
        ignore_index: label that counts for nothing.
        largest: logit of the tails.
    """
    generator = torch.Generator().manual_seed(20)

    def case(name: str, logits: Tensor, labels: Tensor) -> Case:
        preds = logits if signature.layout == REAL else as_kind(logits, preds_are, signature.layout == SOFTMAX)
        return Case(name, preds.to(dtype_of(signature.preds_dtype)), labels.to(dtype_of(signature.labels_dtype)))

    def inputs(**sizes: int) -> tuple[Tensor, Tensor]:
        of_preds, of_labels = _shapes(signature, {**SIZES, **sizes})
        logits = torch.randn(of_preds, generator=generator, dtype=torch.float64) * 4
        if signature.layout == REAL:
            return logits, torch.randn(of_labels, generator=generator, dtype=torch.float64) * 4
        top = of_preds[1] if signature.layout == SOFTMAX else 2
        return logits, torch.randint(0, top, of_labels, generator=generator)

    yield case("random", *inputs())
    logits, labels = inputs(N=96)
    grid = torch.cat([GRID, -GRID]).clamp(-largest, largest)
    # nearby, for an exact 1 is where a hinge has its corner, and a probability of a half rounds to either class
    near = 0.97 + 0.06 * torch.rand(logits.shape, generator=generator, dtype=torch.float64)
    tails = near * grid[torch.randint(0, len(grid), logits.shape, generator=generator)]
    yield case("tails", tails if preds_are == "logits" else tails + 0.02, labels)
    yield case("one sample", *inputs(N=1))
    yield case("sizes of 1", *inputs(**dict.fromkeys(("N", "S1", "S2", "S3", "S4"), 1)))
    yield case("empty batch", *inputs(N=0))
    logits, labels = inputs()
    yield case("half precision", logits.to(torch.float16).to(torch.float64), labels)
    turned = case("not contiguous", *inputs())
    yield Case(turned.name, _strided(turned.preds), _strided(turned.labels))
    logits, labels = inputs()
    yield case("ties", logits.round() + 0.25, labels)
    logits, labels = inputs()
    logits.reshape(len(logits), -1)[::3, 0] = torch.nan
    yield case("not a number", logits, labels)
    if signature.layout == REAL:
        return
    if signature.layout == SOFTMAX:
        logits, labels = inputs()
        logits[::2, 1] = -torch.inf  # a masked class, and the label's own
        yield case("masked classes", logits, labels)
        if signature.num_classes is None:
            yield case("many classes", *inputs(C=300, N=6))
    logits, labels = inputs()
    top = logits.size(1) if signature.layout == SOFTMAX else 2
    bad = labels.reshape(len(labels), -1)
    for row, label in enumerate((-1, top, -(2**31), 2**31 - 1, top + 7, -2)):
        bad[row, -1] = label
    bad[6], bad[7, 0], bad[8, -1] = ignore_index, ignore_index, ignore_index
    yield case("bad and ignored labels", logits, labels)


def as_kind(logits: Tensor, preds_are: str, softmax: bool) -> Tensor:
    """Return float64 logits as the kind of predictions, softmax over axis 1 or sigmoid of each."""
    if preds_are == "logits":
        return logits
    if softmax:
        return logits.softmax(1) if preds_are == "probs" else logits.log_softmax(1)
    return logits.sigmoid() if preds_are == "probs" else torch.nn.functional.logsigmoid(logits)


def _strided(tensor: Tensor) -> Tensor:
    """Return the same numbers lying in memory in another order."""
    if tensor.dim() == 1:
        return torch.stack([tensor, tensor], 1)[:, 0]
    return tensor.transpose(0, -1).contiguous().transpose(0, -1)


def _shapes(signature: Signature, sizes: dict[str, int]) -> list[list[int]]:
    return [[sizes[size] if isinstance(size, str) else size for size in spec.shape] for spec in signature.inputs]
