"""``fuse``: a user's model and losses as one file, run beside the two apart before it gets its name."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaltool.errors import EvaltoolError
from evaltool.export.comparison import LIMIT, error_of
from evaltool.export.fuse_onnx import OnnxTarget
from evaltool.export.fuse_torchscript import TorchScriptTarget
from evaltool.export.model_inputs import Feeds, Run, example_feeds, random_feeds
from evaltool.export.model_losses import ModelLosses, Wish, labels_for, model_losses
from evaltool.export.write import FORMAT, versions
from evaltool.partial_files import sync_folder
from evaltool.predictor.models import format_of
from evaltool.readers.side_files import read_class_weights, read_counts
from evaltool.schema import KINDS, TASKS

Target = OnnxTarget | TorchScriptTarget
LABELS = "labels"
LABELS_DTYPES = ("int64", "int32", "float32")
# how far outputs may move, as a share of the largest, where a runtime fuses the two graphs' operators differently
MOVED = {torch.float64: 1e-6, torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


@dataclass(frozen=True)
class FuseReport:
    """What became of a model.

    Attributes:
        path: of the fused file.
        format: "onnx" or "torchscript".
        task: of the losses.
        preds: the model's output that they are given.
        labels: the new input.
        inputs, outputs: all of them, with name, dtype and shape.
        losses: the new outputs, each with its loss, parameters and formula.
        worst_error: of a loss, relative to float64 on the same preds.
        batches: how many batches were compared.
        notes: what was decided and why.
        failure: what is wrong; then there is no file.
    """

    path: str
    format: str
    task: str
    preds: str
    labels: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    losses: list[dict[str, Any]]
    worst_error: float
    batches: int
    notes: list[str]
    failure: str | None

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def fuse(
    model: str | Path,
    losses: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    task: str = "auto",
    preds_are: str = "logits",
    output_name: str | None = None,
    ignore_index: int = -100,
    class_weights: str | Path | Sequence[float] | None = None,
    counts: str | Path | Sequence[float] | None = None,
    labels_dtype: str | None = None,
    example: str | Path | None = None,
    trust: bool = False,
    overwrite: bool = False,
) -> FuseReport:
    """Write one graph (inputs, labels) -> (the model's outputs, one output per loss); return what it is.

    Args:
        model: ONNX (opset 11 or later) or TorchScript file.
        losses: SPECs; by default the task's.
        output: where to; by default ``<stem>_fused`` with the format's suffix, here.
        task: one of ``schema.TASKS``, or "auto": from the output's shape and the losses.
        preds_are: "logits", "probs" or "log-probs".
        output_name: which output of the model holds the preds; by default the first.
        ignore_index: label that counts for nothing.
        class_weights: one number per class, a file of them, or a rule on the counts.
        counts: labels of each class, or a file of them, for rules, priors and margins.
        labels_dtype: "int64", "int32" or "float32"; by default the first that the losses take.
        example: .npz of inputs by name to compare on; by default random ones.
        trust: run a TorchScript file that no manifest vouches for.
        overwrite: replace the file that is there.

    Raises:
        EvaltoolError: the model or a loss cannot be used, or the file is there already; nothing has been written.
    """
    for name, value, known in (("task", task, ("auto", *TASKS)), ("preds_are", preds_are, KINDS)):
        if value not in known:
            raise ValueError(f"{name}={value!r}, expected one of {', '.join(known)}")
    if labels_dtype not in (None, *LABELS_DTYPES):
        raise ValueError(f"labels_dtype={labels_dtype!r}, expected one of {', '.join(LABELS_DTYPES)}")
    wish = Wish(
        tuple(losses),
        task,
        preds_are,
        ignore_index,
        None if class_weights is None else read_class_weights(class_weights, None),
        None if counts is None else read_counts(counts),
        labels_dtype,
    )
    source = Path(model)
    target = _target(source, trust=trust)
    final = Path(output) if output is not None else Path(f"{source.stem}_fused{target.suffix}")
    _check_free(final, source, overwrite=overwrite)
    feeds = [example_feeds(Path(example), target.inputs)] if example else random_feeds(target, target.inputs, source)
    given = _first_run(target, feeds[0])
    preds = _preds_name(target, given, output_name)
    chosen = model_losses(given[preds], f"{source}: output {preds}", wish)
    return _fused(target, final, chosen, preds, feeds, overwrite=overwrite)


def _target(path: Path, *, trust: bool) -> Target:
    kind = format_of(path)
    if kind == "pt2":
        raise EvaltoolError(
            f"a pt2 package cannot be fused\n  {path}: it is compiled\n  Fuse the module before it is compiled, as "
            "TorchScript (.pt) or ONNX."
        )
    return OnnxTarget(path) if kind == "onnx" else TorchScriptTarget(path, trust=trust)


def _check_free(final: Path, source: Path, *, overwrite: bool) -> None:
    """Raise EvaltoolError if there can be no file of that name."""
    if not final.absolute().parent.is_dir():
        raise EvaltoolError(f"no such folder\n  {final.parent}\n  Create it, or choose another with -o.")
    if final.exists() and final.samefile(source):
        raise EvaltoolError(f"the fused model would replace the model\n  {final}\n  Choose another name with -o.")
    if final.is_dir() or (final.exists() and not overwrite):
        raise EvaltoolError(f"there is a file of that name\n  {final}\n  Pass --overwrite, or choose another with -o.")


def _first_run(target: Target, feeds: Feeds) -> dict[str, Tensor]:
    try:
        return target(feeds)
    except Exception as error:  # runtimes have no common class of errors
        raise EvaltoolError(
            f"the model does not run on the example\n  {target.path}: {str(error).splitlines()[0]}\n"
            "  Give arrays of the dtypes and shapes that it takes."
        ) from error


def _preds_name(target: Target, given: Mapping[str, Tensor], asked: str | None) -> str:
    name = asked or next(iter(given), "")
    if name not in given:
        raise EvaltoolError(
            f"the model has no such output\n  {target.path}: {name or 'no tensor'!r}, expected one of "
            f"{', '.join(given) or 'none'}\n  Choose one of them with --output-name."
        )
    return name


def _fused(
    target: Target, final: Path, losses: ModelLosses, preds: str, feeds: Sequence[Feeds], *, overwrite: bool
) -> FuseReport:
    """Write the file, compare it, and give it its name; or leave nothing of it."""
    labels = _free_name([LABELS], target.taken)
    taken = {*target.taken, labels, *target.outputs}
    outputs: dict[str, str] = {}
    for column in losses.columns:
        outputs[column] = _free_name([column, f"{column}_loss"], {*taken, *outputs.values()})
    notes = [*losses.notes, *([] if len(target.outputs) == 1 else [f"preds: the output {preds!r} of {_told(target)}"])]
    notes += [f"input: {labels!r}, for the model has a {LABELS!r}"] if labels != LABELS else []
    notes += [f"output: {name!r}, for the model has a {c!r}" for c, name in outputs.items() if c != name]
    metadata = _metadata(target, losses, preds, labels, outputs, feeds[0], target(feeds[0]))
    with tempfile.TemporaryDirectory(dir=final.absolute().parent, prefix=f".{final.name}.") as folder:
        path = Path(folder) / final.name
        target.write(path, final, losses, preds=preds, labels=labels, outputs=outputs, metadata=metadata)
        run = target.runner(path, final)
        worst, failure = _compared(target, run, losses, feeds, preds, labels, outputs)
        if failure is None:
            _put(Path(folder), final, overwrite=overwrite)
    return FuseReport(
        path=str(final),
        format=target.format,
        task=losses.decision.task,
        preds=preds,
        labels=labels,
        inputs=run.inputs,
        outputs=run.outputs,
        losses=metadata["losses"],
        worst_error=worst,
        batches=len(feeds),
        notes=notes,
        failure=failure,
    )


def _told(target: Target) -> str:
    return ", ".join(target.outputs)


def _free_name(wanted: Sequence[str], taken: set[str]) -> str:
    """Return the first name wanted that is not taken, or the last one with a number."""
    numbered = (f"{wanted[-1]}_{number}" for number in range(1, len(taken) + 2))
    return next(name for name in [*wanted, *numbered] if name not in taken)


def _metadata(
    target: Target,
    losses: ModelLosses,
    preds: str,
    labels: str,
    outputs: Mapping[str, str],
    feeds: Feeds,
    given: Mapping[str, Tensor],
) -> dict[str, Any]:
    """Return what a file says of itself."""
    wanted = losses.signature.inputs[1]
    of_losses = "float64" if given[preds].dtype == torch.float64 else "float32"
    new = {"name": labels, "dtype": wanted.dtype, "shape": list(wanted.shape)}
    required = [_record(spec.name, feeds[spec.name]) for spec in target.inputs if spec.name in feeds]
    return {
        "format": FORMAT,
        "name": target.path.stem,
        "kind": "fused",
        "task": losses.decision.task,
        "preds": preds,
        "labels": labels,
        "preds_are": losses.preds_are,
        "ignore_index": losses.ignore_index,
        "losses": [{**record, "output": name} for record, name in zip(losses.records(), outputs.values(), strict=True)],
        "inputs": [*required, new],
        "outputs": [
            *(_record(name, given[name]) if name in given else {"name": name} for name in target.outputs),
            *({"name": name, "dtype": of_losses, "shape": ["N"]} for name in outputs.values()),
        ],
        "versions": versions(),
    }


def _record(name: str, tensor: Tensor) -> dict[str, Any]:
    """Return a tensor as metadata describes it; which of its sizes are fixed is not known."""
    shape = ["N", *(f"D{axis}" for axis in range(1, tensor.dim()))][: tensor.dim()]
    return {"name": name, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": shape}


@torch.no_grad()
def _compared(
    alone: Run,
    fused: Run,
    losses: ModelLosses,
    batches: Sequence[Feeds],
    preds: str,
    labels: str,
    outputs: Mapping[str, str],
) -> tuple[float, str | None]:
    """Return the worst error of a loss, and what is wrong."""
    oracle = losses.module(squeeze=losses.squeeze)
    generator = torch.Generator().manual_seed(1)
    worst = 0.0
    for feeds in batches:
        expected = alone(feeds)
        given = labels_for(expected[preds], losses, generator)
        try:
            found = fused({**feeds, labels: given})
        except RuntimeError as error:
            return torch.inf, f"it does not run: {error}"
        for name, value in expected.items():
            if not _is_same(found[name], value):
                return worst, f"the output {name!r} differs from the model's alone; is the model random?"
        wide = given.to(torch.float64) if given.is_floating_point() else given
        values = oracle(found[preds].to(torch.float64), wide)
        for column, name in outputs.items():
            off = error_of(column, found[name], values[column])
            worst = max(worst, off)
            if not off <= LIMIT:
                return worst, f"error {off:.2g} in the output {name!r}, allowed is {LIMIT:g}"
    return worst, None


def _is_same(found: Tensor, wanted: Tensor) -> bool:
    """Whether an output is that of the model alone."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    if not wanted.is_floating_point() or not wanted.numel():
        return bool((found == wanted).all())
    finite = wanted[wanted.isfinite()].abs()
    allowed = float(finite.max()) * MOVED[wanted.dtype] if finite.numel() else 0.0
    return torch.allclose(found, wanted, rtol=0, atol=allowed, equal_nan=True)


def _put(folder: Path, final: Path, *, overwrite: bool) -> None:
    """Give whole files their names, the data first."""
    files = sorted(folder.iterdir(), key=lambda path: path.name == final.name)
    for path in files:
        _check_free(final.with_name(path.name), path, overwrite=overwrite)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for path in files:
        path.replace(final.with_name(path.name))
    sync_folder(final.absolute().parent)
