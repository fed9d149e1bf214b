"""Inputs to run a user's model with: the user's own, or random ones of the sizes that the model takes."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaltool.errors import EvaltoolError
from evaltool.predictor.models import ModelInput, described_tensors

Feeds = dict[str, Tensor]
Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
BATCHES = (3, 1, 8)  # rows, where the model takes any number
SIZES = (32, 64, 224, 16, 8, 128, 1)  # of the other axes, where the model takes any; tried in this order
LARGEST_INTEGER = (9, 1)  # token ids, masks; tried in this order


def example_feeds(path: Path, inputs: Sequence[ModelInput]) -> Feeds:
    """Return the arrays of an .npz file by the names of a model's inputs.

    Raises:
        EvaltoolError: the file cannot be read, or holds other names.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("no .npz file")
        with np.load(path) as archive:
            found = {name: torch.from_numpy(np.ascontiguousarray(archive[name])) for name in archive.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise EvaltoolError(
            f"cannot read the example\n  {path}: {reason}\n  Save it with numpy.savez(file, name=array, ...)."
        ) from None
    names = [spec.name for spec in inputs]
    if set(found) - set(names) or {spec.name for spec in inputs if spec.required} - set(found):
        raise EvaltoolError(
            f"the example holds other inputs than the model takes\n  {path}: {', '.join(found) or 'none'}, expected "
            f"{', '.join(names)}\n  Save one array per input, by its name."
        )
    return found


def random_feeds(run: Run, inputs: Sequence[ModelInput], path: Path) -> list[Feeds]:
    """Return random inputs that a model runs on, one for each number of rows that it takes.

    Args:
        run: the model.
        inputs: what it takes; an input without a shape was not described.
        path: its file, for messages.

    Raises:
        EvaltoolError: the model fails on all of them.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = [spec for spec in inputs if spec.required]
    reason = "it does not say their shapes"
    for size, largest in _attempts(inputs):
        found: list[Feeds] = []
        for rows in BATCHES:
            feeds = {spec.name: _random(spec, rows, size, largest, generator) for spec in inputs}
            if found and all(feeds[name].shape == tensor.shape for name, tensor in found[0].items()):
                break  # the number of rows is fixed
            try:
                run(feeds)
            except Exception as error:  # runtimes have no common class of errors
                reason = str(error).splitlines()[0]
                if not found:
                    break
            else:
                found.append(feeds)
        if found:
            return found
    takes = ", ".join(_told(spec) for spec in inputs)
    raise EvaltoolError(
        f"the model does not run on random inputs, so the fused one could not be verified\n  {path}: takes {takes}\n"
        f"  {reason}\n  Pass --example inputs.npz with an array for each input, by its name."
    )


def _told(spec: ModelInput) -> str:
    """Return an input as messages show it: ``image float32 [N, 3, 8, 8]``."""
    sizes = [f"[{', '.join('?' if size is None else str(size) for size in spec.shape)}]"] if spec.shape else []
    return " ".join([spec.name, *([spec.dtype] if spec.dtype else []), *sizes])


def _attempts(inputs: Sequence[ModelInput]) -> Iterator[tuple[int, int]]:
    """Yield sizes of axes and largest integers to try."""
    if any(spec.shape is None for spec in inputs):
        return
    free = any(not isinstance(size, int) for spec in inputs for size in (spec.shape or ())[1:])
    integral = any("int" in (spec.dtype or "") for spec in inputs)
    for largest in LARGEST_INTEGER if integral else LARGEST_INTEGER[:1]:
        for size in SIZES if free else SIZES[:1]:
            yield size, largest


def _random(spec: ModelInput, rows: int, size: int, largest: int, generator: torch.Generator) -> Tensor:
    shape = [
        given if isinstance(given, int) else rows if axis == 0 else size for axis, given in enumerate(spec.shape or ())
    ]
    dtype: torch.dtype = getattr(torch, spec.dtype or "float32")
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    high = 1 if dtype == torch.bool else largest
    return torch.randint(0, high + 1, shape, generator=generator).to(dtype)


def guessed_inputs(module: torch.jit.ScriptModule, needed: Sequence[str], metadata: str | bytes) -> list[ModelInput]:
    """Return what a TorchScript module may take: as its metadata say, else, of one input, by the first weights."""
    described = {spec["name"]: spec for spec in described_tensors(metadata, "inputs")}
    if set(needed) <= set(described):
        return [_described_input(described[name]) for name in needed]
    weights = [tensor for tensor in module.parameters() if tensor.dim() > 1]
    if len(needed) != 1 or not weights:
        return [ModelInput(name) for name in needed]
    channels = weights[0].shape[1]  # of a linear layer or a convolution
    dtype = str(weights[0].dtype).removeprefix("torch.")
    return [ModelInput(needed[0], dtype, (None, channels, *[None] * (weights[0].dim() - 2)))]


def _described_input(spec: Mapping[str, Any]) -> ModelInput:
    dtype, shape = spec.get("dtype"), spec.get("shape")
    known = isinstance(shape, list) and all(size is None or isinstance(size, (int, str)) for size in shape)
    if not known or not isinstance(getattr(torch, str(dtype), None), torch.dtype):
        return ModelInput(spec["name"])
    return ModelInput(spec["name"], str(dtype), tuple(shape))  # type: ignore[arg-type]
