"""What a module takes: names, dtypes and shapes of its inputs, and an example to trace it with."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

SOFTMAX, ELEMENTS, REAL, SHARES = "softmax", "elements", "real", "shares"


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype and shape of an input or output; a size is a number, or a letter where any will do."""

    name: str
    dtype: str
    shape: tuple[str | int, ...]

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """The inputs of a loss or scorecard.

    Attributes:
        layout: "softmax" (preds [N, C, *S], integer labels [N, *S]), "elements" (labels of the preds' shape, in
            [0, 1]), "real" (the same, real numbers) or "shares" (labels [N, C, *S] that sum to 1).
        rank: of the preds.
        num_classes: C where the module holds numbers per class, None where any will do.
        preds_dtype: float16, bfloat16, float32 or float64.
        labels_dtype: int32, int64, float32 or float64.
    """

    layout: str
    rank: int
    num_classes: int | None = None
    preds_dtype: str = "float32"
    labels_dtype: str = "int64"

    @property
    def has_classes(self) -> bool:
        """Whether axis 1 of the preds is the class."""
        return self.layout in (SOFTMAX, SHARES) or (self.layout == ELEMENTS and self.rank == 2)

    @property
    def inputs(self) -> tuple[TensorSpec, TensorSpec]:
        """The specs of preds and labels."""
        space = tuple(f"S{i + 1}" for i in range(self.rank - 1 - self.has_classes))
        classes: tuple[str | int, ...] = (self.num_classes or "C",) if self.has_classes else ()
        preds = ("N", *classes, *space)
        labels = ("N", *space) if self.layout == SOFTMAX else preds
        return TensorSpec("preds", self.preds_dtype, preds), TensorSpec("labels", self.labels_dtype, labels)

    def example(self) -> tuple[Tensor, Tensor]:
        """Return preds and labels to trace a module with."""
        sizes = {"N": 3, "C": 4, "S1": 5, "S2": 6, "S3": 7, "S4": 8}
        # all different, the fixed one too: an output's axes are told by their sizes
        sizes = {name: 9 if size == self.num_classes else size for name, size in sizes.items()}
        of_preds, of_labels = ([_size(size, sizes) for size in spec.shape] for spec in self.inputs)
        generator = torch.Generator().manual_seed(0)
        preds = torch.rand(of_preds, generator=generator)
        if self.layout == SHARES:
            return preds.to(dtype_of(self.preds_dtype)), preds.softmax(1).to(dtype_of(self.labels_dtype))
        labels = torch.randint(0, 2, of_labels, generator=generator)
        return preds.to(dtype_of(self.preds_dtype)), labels.to(dtype_of(self.labels_dtype))

    def dynamic_shapes(self) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return the axes that may have any size, as torch.export takes them."""
        names = {size for spec in self.inputs for size in spec.shape if isinstance(size, str)}
        # a softmax has two classes or more, and losses look whether it is one
        least = {"C": 2} if self.layout in (SOFTMAX, SHARES) else {}
        axes = {name: torch.export.Dim(name, min=least.get(name, 0)) for name in sorted(names)}
        of_preds, of_labels = (
            {axis: axes[size] for axis, size in enumerate(spec.shape) if isinstance(size, str)} for spec in self.inputs
        )
        return of_preds, of_labels


def dtype_of(name: str) -> torch.dtype:
    """Return the dtype of a name such as "float32"."""
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _size(size: str | int, sizes: dict[str, int]) -> int:
    return sizes[size] if isinstance(size, str) else size


def named_outputs(outputs: Any, names: Sequence[str]) -> dict[str, Tensor]:
    """Return a module's outputs by name: one tensor, a sequence, or a dict, which has names of its own.

    Raises:
        ValueError: there are more or fewer outputs than names.
    """
    if isinstance(outputs, dict):
        return dict(outputs)
    found = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    return dict(zip(names, found, strict=True))
