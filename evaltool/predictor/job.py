"""``predict``: stream inputs through a model into a .npy file."""

import os
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaltool.devices import chosen_device
from evaltool.errors import EvaltoolError
from evaltool.predictor.inputs import fed
from evaltool.predictor.models import Model, open_model
from evaltool.predictor.npy_writer import NpyWriter, check_npy_output
from evaltool.predictor.rows import ModelRows
from evaltool.progress import Watcher, opened_progress
from evaltool.schema import OUTPUT_DTYPES, PROGRESS

AUTO = "auto"


def predict(
    model: str | Path,
    inputs: Any,
    *,
    output: str | Path,
    output_name: str | None = None,
    device: str = "auto",
    batch_size: int | str = AUTO,
    dtype: str | None = None,
    trust: bool = False,
    overwrite: bool = False,
    progress: str | None = None,
) -> dict[str, Any]:
    """Write what a model predicts to a .npy file and return a report.

    Args:
        model: path of a TorchScript (.pt), ONNX (.onnx) or pt2 file.
        inputs: path of a .npy, array or tensor [N, ...] for a model of one input; or a mapping from the inputs' names
            to them.
        output: path of the .npy file.
        output_name: which of the model's outputs; by default the first.
        device: "auto", "cpu", "cuda" or "cuda:i".
        batch_size: rows per batch; "auto" is a size by bytes, halved when memory runs out.
        dtype: "float16", "float32" or "float64" to write the predictions so; by default as the model gives them, and
            bfloat16 as float32.
        trust: run TorchScript and pt2 files that no manifest vouches for.
        overwrite: replace the file that is there.
        progress: what stderr shows, as in ``score``.

    Returns:
        The report: model, inputs, output, how many rows are not finite, batch size, device, provider and seconds.

    Raises:
        EvaltoolError: the model or an input cannot be used; nothing has been written.
    """
    if progress is not None and progress not in PROGRESS:
        raise ValueError(f"progress={progress!r}, expected None, {', '.join(PROGRESS)}")
    if dtype is not None and dtype not in OUTPUT_DTYPES:
        raise ValueError(f"dtype={dtype!r}, expected {', '.join(OUTPUT_DTYPES)}")
    check_npy_output(Path(output), overwrite=overwrite, sources=_paths(model, inputs))
    started = time.monotonic()
    with (
        opened_progress(progress, doing="predicting", done="predicted") as watcher,
        closing(
            model_rows(
                model,
                inputs,
                output_name=output_name,
                batch_size=batch_size,
                trust=trust,
                device=device,
                watcher=watcher,
            )
        ) as rows,
    ):
        written = _written_dtype(rows, dtype)
        with NpyWriter(Path(output), rows.shape, written, overwrite=overwrite) as writer:
            counts = _stream(rows, writer, written, watcher)
            writer.commit()
        n_nonfinite, n_overflowed = counts.nonfinite, counts.overflowed
        if n_nonfinite:
            watcher.warned(f"{n_nonfinite} of {rows.shape[0]} rows hold NaN or +inf: did the model overflow?")
        if n_overflowed:
            watcher.warned(f"{n_overflowed} of {rows.shape[0]} rows hold numbers that {written} cannot: write float32")
        return {
            "model": {"path": str(rows.model.path), "format": rows.model.format},
            "inputs": [
                {"name": feed.spec.name, "source": feed.rows.name, "shape": list(feed.rows.shape)}
                | {"dtype": str(feed.rows.dtype), "given_as": str(feed.dtype).removeprefix("torch.")}
                for feed in rows.feeds
            ],
            "output": {"path": str(output), "name": rows.output, "shape": list(rows.shape), "dtype": str(written)},
            "n_nonfinite": n_nonfinite,
            "n_overflowed": n_overflowed,
            "batch_size": min(rows.step, rows.shape[0]),
            "device": str(rows.device),
            "provider": rows.model.provider,
            "seconds": round(time.monotonic() - started, 3),
        }


def model_rows(
    model: str | Path,
    inputs: Any,
    *,
    output_name: str | None,
    batch_size: int | str,
    trust: bool,
    device: str,
    watcher: Watcher,
) -> ModelRows:
    """Return an output of a model as rows; arguments as ``predict``'s.

    Raises:
        EvaltoolError: the model or an input cannot be used.
        ValueError: batch_size is neither "auto" nor an integer above 0.
    """
    if batch_size != AUTO and (not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1):
        raise ValueError(f"batch_size={batch_size!r}, expected {AUTO} or an integer above 0")
    opened = _opened(Path(model), trust, device, watcher)
    try:
        return ModelRows(
            opened,
            fed(opened, inputs),
            output_name=output_name,
            batch_size=batch_size if isinstance(batch_size, int) else None,
            watcher=watcher,
        )
    except BaseException:
        opened.close()
        raise


def _paths(model: str | Path, inputs: Any) -> list[Path]:
    """Return the files that are read."""
    sources = [model, *(inputs.values() if isinstance(inputs, Mapping) else [inputs])]
    return [Path(source) for source in sources if isinstance(source, (str, os.PathLike))]


def _opened(path: Path, trust: bool, device: str, watcher: Watcher) -> Model:
    """Return a model on a device; where any will do, on the CPU if it does not run on the GPU that is there."""
    chosen = chosen_device(device)
    try:
        return open_model(path, trust=trust, device=chosen)
    except EvaltoolError as error:
        if device != "auto" or chosen.type == "cpu":
            raise
        model = open_model(path, trust=trust, device=torch.device("cpu"))  # a file that is no model fails once more
        watcher.decided([f"device: cpu, because {str(error).splitlines()[0]}"])
        return model


def _written_dtype(rows: ModelRows, dtype: str | None) -> np.dtype[Any]:
    if dtype is not None and rows.dtype.kind != "f":
        raise EvaltoolError(
            f"--dtype is for predictions that are floats\n  {rows.name}: dtype {rows.dtype}\n  Leave --dtype out."
        )
    return np.dtype(dtype or rows.dtype)


def _stream(rows: ModelRows, writer: NpyWriter, dtype: np.dtype[Any], watcher: Watcher) -> SimpleNamespace:
    """Write every row; return how many hold NaN or +inf, and how many the dtype made infinite."""
    n, start = rows.shape[0], 0
    counts = SimpleNamespace(nonfinite=0, overflowed=0)
    kind: torch.dtype = getattr(torch, str(dtype))
    while start < n:
        stop = min(n, start + rows.step)  # the step may become smaller
        block = rows.read(start, stop)
        stored = block.to(kind)
        # -inf is a logit like any other: a masked class; the largest of all tells of NaN too, and is quickly found
        if kind.is_floating_point and block.numel() and not bool(block.amax() < torch.inf):
            counts.nonfinite += _rows_with(~(block < torch.inf))
        if stored.itemsize < block.itemsize:
            counts.overflowed += _rows_with(stored.isinf() & ~block.isinf())
        writer.add(stored.cpu().numpy())
        start = stop
        watcher.progressed(start, n)
    return counts


def _rows_with(where: Tensor) -> int:
    return int(where.reshape(len(where), -1).any(1).sum())
