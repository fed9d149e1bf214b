"""``export``: subjects to files, each run again where it will run, described, and put in place whole."""

import contextlib
import json
import math
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

import evaltool
from evaltool.artifacts.onnx_graphs import IR_VERSION, OPSET
from evaltool.artifacts.signature import Signature, TensorSpec, named_outputs
from evaltool.artifacts.trust import file_sha256
from evaltool.catalogue import CATALOGUE, METRICS
from evaltool.errors import EvaltoolError
from evaltool.export.comparison import LIMIT, worst_errors
from evaltool.export.files import SUFFIXES, read_file, write_file
from evaltool.export.request import ranks_of
from evaltool.export.subject import Subject, metric_of, module_of, output_names, signature_of
from evaltool.export.triton import is_servable, triton_config
from evaltool.partial_files import partial_path, remove_stale, sync_folder

FORMAT = 1
MANIFEST, CONFIG = "manifest.json", "config.pbtxt"
USUAL_RANK = 2
FORMATS = tuple(SUFFIXES)


@dataclass(frozen=True)
class Item:
    """One file to write.

    Attributes:
        kind: "torchscript", "onnx" or "pt2".
        subject: what it computes.
        signature: what it takes; for TorchScript, which takes more, what its description says.
        ranks: of preds, that it takes.
        device: that a pt2 package is compiled for.
    """

    kind: str
    subject: Subject
    signature: Signature
    ranks: tuple[int, ...]
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The artifact's name: the subject's, and what sets the file apart from the usual one."""
        parts = [self.subject["name"]]
        if self.kind != "torchscript":
            preds, labels = self.signature.inputs
            parts += [f"rank{self.signature.rank}"] if self.signature.rank != USUAL_RANK else []
            parts += [spec.dtype for spec, usual in ((preds, "float32"), (labels, "int64")) if spec.dtype != usual]
        return "_".join(part for part in parts if part != "float32")

    @property
    def folder(self) -> str:
        """The artifact's folder in the repository."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Exported:
    """What became of an item."""

    path: str  # of the file
    bytes: int
    worst_error: float
    errors: dict[str, float]
    failure: str | None  # then the file is not there

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def items_of(
    subjects: Sequence[Subject],
    formats: Sequence[str],
    *,
    ranks: Sequence[int] | None,
    preds_dtypes: Sequence[str],
    labels_dtypes: Sequence[str],
    device: str,
) -> list[Item]:
    """Return the files to write: TorchScript one per subject, ONNX and pt2 one per rank and dtypes.

    Raises:
        EvaltoolError: a subject has none of the ranks.
    """
    items = []
    for subject in subjects:
        possible = ranks_of(subject)
        chosen = [rank for rank in possible if ranks is None or rank in ranks]
        if not chosen:
            raise EvaltoolError(
                f"{subject['name']} has no such rank\n  got --rank {' '.join(map(str, ranks or ()))}, expected one of "
                f"{', '.join(map(str, possible))}\n  Leave --rank out for all of them."
            )
        for kind in formats:
            if kind == "torchscript":
                items.append(Item(kind, subject, signature_of(subject, _usual(possible)), possible))
                continue
            # a package takes the better part of a minute to compile: the others on demand
            of_kind = chosen if kind == "onnx" or ranks is not None else [_usual(possible)]
            items += [
                Item(kind, subject, signature_of(subject, rank, preds_dtype, labels_dtype), (rank,), device)
                for rank in of_kind
                for preds_dtype in preds_dtypes
                for labels_dtype in labels_dtypes
            ]
    return list({item.folder: item for item in items}.values())


def _usual(ranks: Sequence[int]) -> int:
    return USUAL_RANK if USUAL_RANK in ranks else ranks[0]


def check_free(items: Sequence[Item], repository: Path, *, overwrite: bool) -> None:
    """Raise EvaltoolError if an artifact is there and may not be replaced, or is something else."""
    for item in items:
        folder = repository / item.folder
        if not folder.exists():
            continue
        if not (folder / MANIFEST).is_file():
            raise EvaltoolError(
                f"the folder holds something else\n  {folder}: no {MANIFEST} in it\n  Choose another folder with -o."
            )
        if not overwrite:
            raise EvaltoolError(
                f"the artifact is there already\n  {folder}\n  Pass --overwrite, or another folder with -o."
            )


def export_item(item: Item, repository: Path) -> Exported:
    """Write an item, compare it with float64 in its runtime, and put it in place; or leave nothing of it."""
    target = repository / item.folder
    suffix = SUFFIXES[item.kind]
    inside = f"1/model.{suffix}"
    with _partial(target) as folder:
        path = folder / inside
        path.parent.mkdir(parents=True)
        metadata = metadata_of(item)
        write_file(path, item.kind, item.subject, item.signature, metadata, item.device)
        failure, errors = _checked(path, item, metadata)
        worst = max(errors.values(), default=math.inf)
        size = path.stat().st_size
        if failure is None:
            manifest = {
                **metadata,
                "sha256": {inside: file_sha256(path)},
                "errors": errors,
                "worst_error": worst,
            }
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
            inputs, outputs = specs_of(metadata, "inputs"), specs_of(metadata, "outputs")
            if is_servable(item.kind, outputs):
                (folder / CONFIG).write_text(triton_config(item.kind, item.name, inputs, outputs), "utf-8")
            _put(folder, target)
    return Exported(str(target / inside), size, worst, errors, failure)


def _checked(path: Path, item: Item, metadata: Mapping[str, Any]) -> tuple[str | None, dict[str, float]]:
    """Return what is wrong with a file in its runtime, and the worst error of each case."""
    try:
        run, found = read_file(path, item.kind, item.subject, item.device, trust=True)
        errors = measured(run, item)
    except EvaltoolError as error:
        return str(error), {}
    return too_far_off(errors) or (None if found == metadata else "the metadata read back are others"), errors


def too_far_off(errors: Mapping[str, float]) -> str | None:
    """Return the case with the worst error, if that is more than allowed."""
    case = max(errors, key=lambda name: errors[name])
    return None if errors[case] <= LIMIT else f"error {errors[case]:.2g} in the case {case!r}, allowed is {LIMIT:g}"


def measured(run: Any, item: Item) -> dict[str, float]:
    """Return the worst error of each case; of TorchScript over all the ranks and dtypes that it takes."""
    signatures = [item.signature]
    if item.kind == "torchscript":
        dtypes = [("float32", "int64"), ("float16", "int32"), ("bfloat16", "int64"), ("float64", "int64")]
        signatures = [signature_of(item.subject, rank, *dtypes[0]) for rank in item.ranks]
        signatures += [signature_of(item.subject, item.signature.rank, *pair) for pair in dtypes[1:]]
    worst: dict[str, float] = {}
    for signature in signatures:
        for case, error in worst_errors(run, item.subject, signature).items():
            worst[case] = max(error, worst.get(case, 0.0))
    return worst


def metadata_of(item: Item) -> dict[str, Any]:
    """Return what a file says of itself."""
    subject, signature = item.subject, item.signature
    metadata: dict[str, Any] = {"format": FORMAT, **subject, "name": item.name}
    if subject["kind"] == "loss":
        entry = CATALOGUE[subject["loss"]]
        metadata |= {"formula": entry.formula, "source": entry.source}
    elif subject["kind"] == "metric":
        metric = METRICS[subject["metric"]]
        metadata |= {"formula": metric.formula, "source": metric.source}
    else:
        metadata["formula"] = "; ".join(f"{i['column']}: {CATALOGUE[i['loss']].formula}" for i in subject["losses"])
    inputs = [spec.record() for spec in signature.inputs]
    example = signature.example()
    values = named_outputs(module_of(subject)(*example), output_names(subject))
    per_sample = subject["kind"] != "metric"
    outputs = [_spec(name, value, ("N",) if per_sample else tuple(value.shape)) for name, value in values.items()]
    metadata |= {
        "ranks": list(item.ranks),
        "inputs": inputs,
        "outputs": [spec.record() for spec in outputs],
        "versions": versions(),
    }
    if item.kind == "torchscript":
        if not per_sample:
            metadata["state"] = [
                _spec(*item, tuple(item[1].shape)).record() for item in metric_of(subject).state().items()
            ]
        metadata["dtypes"] = {"preds": ["float16", "bfloat16", "float32", "float64"], "labels": "any"}
    elif item.kind == "onnx":
        metadata |= {"opset": OPSET, "ir_version": IR_VERSION}
    else:
        metadata["device"] = item.device
    return metadata


def _spec(name: str, value: torch.Tensor, shape: tuple[str | int, ...]) -> TensorSpec:
    return TensorSpec(name, str(value.dtype).removeprefix("torch."), shape)


def versions() -> dict[str, str]:
    """Return what made a file, as its metadata holds it."""
    return {
        "evaltool": evaltool.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def specs_of(metadata: Mapping[str, Any], role: str) -> list[TensorSpec]:
    """Return the specs of the "inputs" or "outputs" in metadata."""
    return [TensorSpec(item["name"], item["dtype"], tuple(item["shape"])) for item in metadata[role]]


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone at the end unless it was put in place."""
    folder = partial_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(target.parent, target.name)
        folder.mkdir()
    except OSError as error:
        raise EvaltoolError(
            f"cannot write here\n  {target}: {error.strerror}\n  Choose another folder with -o."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(folder: Path, target: Path) -> None:
    """Give a whole folder its name, in place of an older artifact."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if target.exists():
        old = folder.with_name(folder.name.replace(f".{target.name}", f".old-{target.name}"))
        target.rename(old)
        folder.rename(target)
        shutil.rmtree(old)
    else:
        folder.rename(target)
    sync_folder(target.parent)
