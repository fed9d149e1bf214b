"""The inputs of a model: which file feeds which input, and its rows cast to what the model takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaltool.errors import EvaltoolError
from evaltool.predictor.models import Model, ModelInput
from evaltool.readers import Rows, open_inputs

UNNAMED = ""  # the name of a source that was given without one
# what rows of a kind may be cast to; whether an integer fits is then seen value by value
CASTS = {"f": ("float",), "i": ("int", "bool"), "u": ("int", "bool"), "b": ("int", "bool", "float")}


class Feed:
    """An input of a model and the rows it is fed.

    Args:
        spec: the input.
        rows: its rows.
        model: the model.

    Raises:
        EvaltoolError: the rows have another shape than the input, or a dtype that it should not be given.
    """

    def __init__(self, spec: ModelInput, rows: Rows, model: Model) -> None:
        self.spec = spec
        self.rows = rows
        self._device = model.device
        self._check_shape(model)
        dtype = spec.dtype or (model.floats if rows.dtype.kind == "f" else str(rows.dtype))
        self._check_dtype(dtype, model)
        self.dtype: torch.dtype = getattr(torch, dtype)
        stored = str(rows.dtype)
        self.cast = None if stored == dtype else f"input {spec.name}: {rows.name} is cast from {stored} to {dtype}"
        self.row_bytes = int(np.prod(rows.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def read(self, start: int, stop: int, size: int) -> Tensor:
        """Return rows start to stop on the model's device, the last one repeated up to ``size`` rows.

        Raises:
            EvaltoolError: an integer does not fit the model's dtype.
        """
        block = self.rows.read(start, stop)
        stored = torch.from_numpy(block) if isinstance(block, np.ndarray) else block
        tensor = stored.to(self.dtype, copy=stored is block)  # a model may change what it is given
        if not self.dtype.is_floating_point and self.dtype != stored.dtype:
            self._check_values(stored, tensor, start)
        if size > len(tensor):
            tensor = torch.cat([tensor, tensor[-1:].expand(size - len(tensor), *tensor.shape[1:])])
        return tensor.to(self._device)

    def text(self, rows: int) -> str:
        """Return what the model is given for so many rows: ``image float32 [2, 3, 8, 8]``."""
        return f"{self.spec.name} {str(self.dtype).removeprefix('torch.')} {[rows, *self.rows.shape[1:]]}"

    def _check_shape(self, model: Model) -> None:
        wanted = self.spec.shape
        if wanted is None:
            return
        sizes = zip(self.rows.shape[1:], wanted[1:], strict=False)
        if len(wanted) != len(self.rows.shape) or any(isinstance(b, int) and a != b for a, b in sizes):
            raise EvaltoolError(
                f"the input does not fit the model\n  {self.rows.name}: shape {list(self.rows.shape)}\n"
                f"  {model.path}: takes {described(self.spec)}\n  Prepare the rows as in training, one per sample."
            )

    def _check_dtype(self, dtype: str, model: Model) -> None:
        wanted = next((kind for kind in ("float", "int", "bool") if kind in dtype), "")
        if wanted not in CASTS[self.rows.dtype.kind] or not hasattr(torch, dtype):
            hint = {
                "int": "Integers name or count something: save them as such, as in array.astype(np.int64).",
                "float": "Scale the values as in training, as in array.astype(np.float32) / 255.",
            }.get(wanted, "Export the model with an input of numbers.")
            raise EvaltoolError(
                f"the input has another dtype than the model takes\n  {self.rows.name}: dtype {self.rows.dtype}\n"
                f"  {model.path}: takes {described(self.spec)}\n  {hint}"
            )

    def _check_values(self, stored: Tensor, tensor: Tensor, start: int) -> None:
        wide = stored.to(torch.int64)
        wrong = tensor.to(torch.int64) != wide
        if stored.dtype == torch.uint64:
            wrong |= wide < 0
        if bool(wrong.any()):
            row = start + int(wrong.reshape(len(wrong), -1).any(1).nonzero()[0])
            dtype = str(self.dtype).removeprefix("torch.")
            raise EvaltoolError(
                f"a value does not fit the model's dtype\n  {self.rows.name}: row {row}, dtype {self.rows.dtype}; the "
                f"input {self.spec.name} takes {dtype}\n  Is this the right file for it?"
            )


def described(spec: ModelInput) -> str:
    """Return an input as messages show it: ``image float32 [N, 3, 8, 8]``."""
    words = [spec.name, *([spec.dtype] if spec.dtype else [])]
    if spec.shape is not None:
        sizes = [str("*" if size is None else size) for size in spec.shape]
        words.append(f"[{', '.join([sizes[0] if sizes[0].isdecimal() else 'N', *sizes[1:]])}]")
    return " ".join(words)


def fed(model: Model, sources: Any) -> list[Feed]:
    """Return the inputs of a model with what feeds them, in the model's order.

    Args:
        model: the model.
        sources: a path, array or tensor for a model of one input; or a mapping from the inputs' names to them, where
            one without a name, "", feeds the input that is left.

    Raises:
        EvaltoolError: a source cannot be read, or the sources are not what the model takes.
    """
    by_name = dict(sources) if isinstance(sources, Mapping) else {UNNAMED: sources}
    takes = "\n".join(f"  {model.path}: takes {described(spec)}" for spec in model.inputs) or "  takes nothing"
    if UNNAMED in by_name:
        source = by_name.pop(UNNAMED)
        left = [spec for spec in model.inputs if spec.name not in by_name]
        left = [spec for spec in left if spec.required] or left
        if len(left) != 1:
            raise EvaltoolError(
                f"which input of the model is this?\n  {_shown(source)}: given without a name\n{takes}\n"
                "  Name every input, as in name=file.npy."
            )
        by_name[left[0].name] = source
    for name in by_name:
        if name not in [spec.name for spec in model.inputs]:
            raise EvaltoolError(f"the model has no input {name!r}\n{takes}\n  Give its inputs, as in name=file.npy.")
    for spec in model.inputs:
        if spec.required and spec.name not in by_name:
            raise EvaltoolError(f"an input of the model is missing\n{takes}\n  Add {spec.name}=file.npy.")
    rows = {name: open_inputs(source, name) for name, source in by_name.items()}
    _check_lengths(rows)
    return [Feed(spec, rows[spec.name], model) for spec in model.inputs if spec.name in rows]


def _check_lengths(inputs: Mapping[str, Rows]) -> None:
    lengths = {rows.shape[0] for rows in inputs.values()}
    lines = "\n".join(f"  {rows.name}: shape {list(rows.shape)}, N = {rows.shape[0]}" for rows in inputs.values())
    if len(lengths) > 1:
        raise EvaltoolError(
            f"the inputs differ in their number of rows\n{lines}\n"
            "  All have to hold the same samples in the same order."
        )
    if not lengths or 0 in lengths:
        raise EvaltoolError(f"there is no row to predict\n{lines}\n  Check how the file was written.")


def _shown(source: Any) -> str:
    return str(source) if isinstance(source, str) or hasattr(source, "__fspath__") else f"a {type(source).__name__}"
