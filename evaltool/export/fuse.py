"""``fuse``: a user's model and losses as one file, run beside the two apart before it gets its name."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaltool.errors import EvaltoolError
from evaltool.export.files import SUFFIXES
from evaltool.export.fuse_compare import compared
from evaltool.export.fuse_onnx import OnnxTarget
from evaltool.export.fuse_torchscript import TorchScriptTarget
from evaltool.export.model_inputs import Feeds, example_feeds, random_feeds
from evaltool.export.model_losses import ModelLosses, Wish, are_like_probabilities, model_losses
from evaltool.export.write import FORMAT, versions
from evaltool.partial_files import partial_path, remove_stale, sync_folder
from evaltool.predictor.models import FORMAT_OF_SUFFIX, format_of
from evaltool.readers.side_files import read_class_weights, read_counts
from evaltool.schema import KINDS, TASKS

Target = OnnxTarget | TorchScriptTarget
NAMES = {"onnx": "ONNX", "torchscript": "TorchScript"}
LABELS = "labels"
LABELS_DTYPES = ("int64", "int32", "float32")


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
        warnings: what was decided on little, and may be wrong.
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
    warnings: list[str]
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
    announce: Callable[[str], None] | None = None,
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
        announce: is told what begins to take a while.

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
    kind = format_of(source)
    final = Path(output) if output is not None else Path(f"{source.stem}_fused.{SUFFIXES[kind]}")
    _check_suffix(final, source, kind)
    _check_free(final, source, overwrite=overwrite)
    target: Target = OnnxTarget(source) if kind == "onnx" else TorchScriptTarget(source, trust=trust)
    feeds = [example_feeds(Path(example), target.inputs)] if example else random_feeds(target, target.inputs, source)
    alone = [_run(target, batch) for batch in feeds]
    preds = _preds_name(target, alone[0], output_name)
    _check_rows(target, preds, feeds, alone)
    chosen = model_losses(alone[0][preds], f"{source}: output {preds}", wish)
    notes, warnings = list(chosen.notes), list(chosen.warnings)
    if len(target.outputs) > 1:
        others = "" if output_name else "; --output-name takes another"
        notes.append(f"preds: the output {preds!r} of {', '.join(target.outputs)}{others}")
    if preds_are == "logits" and task != "regression" and all(are_like_probabilities(found[preds]) for found in alone):
        warnings.append(f"preds: each row of {preds!r} is in [0, 1] and sums to 1; --preds-are probs?")
    if announce:
        announce("comparing with the model alone, some seconds")
    report = _fused(target, final, chosen, preds, feeds, alone, overwrite=overwrite)
    return replace(report, notes=[*notes, *report.notes], warnings=warnings)


def _check_suffix(final: Path, source: Path, kind: str) -> None:
    """Raise EvaltoolError if a model's file would be written under the suffix of another format, or cannot be."""
    if kind == "pt2":
        raise EvaltoolError(
            f"a pt2 package cannot be fused\n  {source}: it is compiled\n  Fuse the module before it is compiled, as "
            "TorchScript (.pt) or ONNX."
        )
    if FORMAT_OF_SUFFIX.get(final.suffix.lower(), kind) != kind:
        raise EvaltoolError(
            f"this suffix is another format's\n  {final}: {source} is {NAMES[kind]}, and so is what is fused\n"
            f"  Choose a name with .{SUFFIXES[kind]}."
        )


def _check_free(final: Path, source: Path, *, overwrite: bool) -> None:
    """Raise EvaltoolError if there can be no file of that name."""
    if not final.absolute().parent.is_dir():
        raise EvaltoolError(f"no such folder\n  {final.parent}\n  Create it, or choose another with -o.")
    if final.exists() and final.samefile(source):
        raise EvaltoolError(f"the fused model would replace the model\n  {final}\n  Choose another name with -o.")
    if final.is_dir() or (final.exists() and not overwrite):
        raise EvaltoolError(f"there is a file of that name\n  {final}\n  Pass --overwrite, or choose another with -o.")


def _run(target: Target, feeds: Feeds) -> dict[str, Tensor]:
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


def _check_rows(target: Target, preds: str, feeds: Sequence[Feeds], alone: Sequence[Mapping[str, Tensor]]) -> None:
    """Raise EvaltoolError if an output has other rows than the inputs: its losses would be of no sample."""
    for batch, found in zip(feeds, alone, strict=True):
        given = {name: list(tensor.shape) for name, tensor in batch.items() if tensor.dim()}
        shape = list(found[preds].shape)
        if shape[:1] not in [sizes[:1] for sizes in given.values()]:
            inputs = ", ".join(f"{name} {sizes}" for name, sizes in given.items())
            raise EvaltoolError(
                f"the output is not one row per sample\n  {target.path}: output {preds}: shape {shape} for {inputs}, "
                "expected [N, ...]\n  Choose another output with --output-name, or keep the samples apart in the model."
            )


def _fused(
    target: Target,
    final: Path,
    losses: ModelLosses,
    preds: str,
    feeds: Sequence[Feeds],
    alone: Sequence[Mapping[str, Tensor]],
    *,
    overwrite: bool,
) -> FuseReport:
    """Write the file, compare it, and give it its name; or leave nothing of it."""
    labels = _free_name([LABELS], target.taken)
    taken = {*target.taken, labels, *target.outputs}
    outputs: dict[str, str] = {}
    for column in losses.columns:
        outputs[column] = _free_name([column, f"{column}_loss"], {*taken, *outputs.values()})
    notes = [f"input: {labels!r}, for the model has a {LABELS!r}"] if labels != LABELS else []
    notes += [f"output: {name!r}, for the model has a {c!r}" for c, name in outputs.items() if c != name]
    metadata = _metadata(target, losses, preds, labels, outputs, feeds[0], alone[0])
    with _folder_beside(final) as folder:
        path = folder / final.name
        target.write(path, final, losses, preds=preds, labels=labels, outputs=outputs, metadata=metadata)
        run = target.runner(path, final)
        worst, failure = compared(run, losses, feeds, alone, preds, labels, outputs)
        if failure is None:
            _put(folder, final, overwrite=overwrite)
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
        warnings=[],
        failure=failure,
    )


@contextmanager
def _folder_beside(final: Path) -> Iterator[Path]:
    """A folder beside a file, gone at the end; what killed processes left of theirs goes too."""
    folder = partial_path(final.absolute())
    try:
        remove_stale(folder.parent, final.name)
        folder.mkdir()
    except OSError as error:
        raise EvaltoolError(
            f"cannot write here\n  {final}: {error.strerror}\n  Choose another folder with -o."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    required = [_record(spec.name, feeds[spec.name], spec.shape) for spec in target.inputs if spec.name in feeds]
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


def _record(name: str, tensor: Tensor, known: Sequence[str | int | None] | None = None) -> dict[str, Any]:
    """Return a tensor as metadata describes it: a size is None where nobody knows whether it is fixed."""
    shape = list(known or [None] * tensor.dim())
    shape[:1] = [shape[0] or "N"] if shape else []
    return {"name": name, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": shape}


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
