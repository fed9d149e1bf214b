"""A loss from a file, TorchScript, ONNX or pt2: called as a module is, with (preds, labels)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaltool.artifacts.onnx_files import open_onnx
from evaltool.artifacts.props import parsed_props
from evaltool.artifacts.pt2 import load_pt2
from evaltool.artifacts.signature import TensorSpec
from evaltool.artifacts.torchscript import load_torchscript
from evaltool.errors import EvaltoolError

FORMATS = {".onnx": "onnx", ".pt2": "pt2"}  # every other file is taken for TorchScript


class GraphLoss:
    """A loss in an ONNX or pt2 file, which takes one dtype and one rank.

    Attributes:
        format: "ONNX" or "pt2".
        metadata: what the file says of itself.
        preds_are, ignore_index: what it was built for; None where it does not say.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        inputs: Sequence[TensorSpec],
        run: Callable[[Tensor, Tensor], Tensor],
        metadata: Mapping[str, Any],
    ) -> None:
        self.path, self.format, self.metadata = path, kind, dict(metadata)
        self.preds_are, self.ignore_index = metadata.get("preds_are"), metadata.get("ignore_index")
        self._inputs, self._run = inputs, run

    def __call__(self, preds: Tensor, labels: Tensor) -> Tensor:
        """Return the loss [N]; a softmax of one class is none.

        Raises:
            EvaltoolError: the file takes another rank, or a dtype that would lose digits.
        """
        of_preds, of_labels = self._inputs
        # one foreground class comes with an axis of its own, which a file for [N, *S] has not
        elements = len(of_preds.shape) == len(of_labels.shape)
        if elements and preds.dim() == len(of_preds.shape) + 1 and preds.size(1) == 1:
            preds = preds.squeeze(1)
        no_softmax = not elements and preds.dim() > 2 and preds.size(1) == 1
        if no_softmax or not (_fits(preds, of_preds) and _fits(labels, of_labels)):
            one_class = preds.dim() > 2 and (preds.dim() == labels.dim() or preds.size(1) == 1)
            rank = f"{labels.dim()} --task foreground" if one_class else preds.dim()
            raise EvaltoolError(
                f"the file takes other shapes\n  {self.path}: {_told(of_preds)} and {_told(of_labels)}, these are "
                f"{list(preds.shape)} and {list(labels.shape)}\n"
                f"  There is one file per rank: export it with --rank {rank}."
            )
        return self._run(self._fitted(preds, of_preds, "preds"), self._fitted(labels, of_labels, "labels"))

    def _fitted(self, tensor: Tensor, spec: TensorSpec, role: str) -> Tensor:
        wanted = getattr(torch, spec.dtype, None)
        if not isinstance(wanted, torch.dtype) or not _keeps(tensor.dtype, wanted):
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise EvaltoolError(
                f"the file takes another dtype\n  {self.path}: {spec.name} {spec.dtype}, these are {dtype}\n"
                f"  Export it with --{role}-dtype {dtype}."
            )
        return tensor.to(wanted)


def open_loss(path: Path, *, trust: bool, device: torch.device) -> "torch.jit.ScriptModule | GraphLoss":
    """Return the loss in a file.

    Raises:
        EvaltoolError: the file is missing, not trusted, damaged, or takes other inputs than (preds, labels).
    """
    kind = FORMATS.get(path.suffix.lower(), "torchscript")
    if kind == "torchscript":
        return load_torchscript(path, trust=trust, device=device)
    if kind == "onnx":
        session = open_onnx(path, device, threads=1)
        preds, labels = _two(path, session.inputs)

        def by_session(x: Tensor, y: Tensor) -> Tensor:
            return session.run({preds.name: x, labels.name: y})[session.outputs[0].name]

        return GraphLoss(path, "ONNX", [preds, labels], by_session, parsed_props(session.metadata))
    package = load_pt2(path, trust=trust, device=device)
    if package.inputs is None:
        raise EvaltoolError(
            f"the package does not say what it takes\n  {path}: no inputs in its metadata\n  Write it with evaltool "
            "export --format pt2."
        )

    def by_package(x: Tensor, y: Tensor) -> Tensor:
        return package.outputs(package.run([x, y]))[0]

    return GraphLoss(path, "pt2", _two(path, package.inputs), by_package, parsed_props(package.metadata))


def _two(path: Path, inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return the inputs preds and labels: by name, or in their order."""
    if len(inputs) != 2:
        names = ", ".join(spec.name for spec in inputs)
        raise EvaltoolError(
            f"this is no loss\n  {path}: takes {names or 'nothing'}, expected preds and labels\n  The predictions of a "
            "model come from `evaltool predict`."
        )
    return sorted(inputs, key=lambda spec: spec.name == "labels")


def _fits(tensor: Tensor, spec: TensorSpec) -> bool:
    """Whether a tensor has the axes of an input, and the sizes that are fixed."""
    sizes = zip(spec.shape, tensor.shape, strict=False)
    return tensor.dim() == len(spec.shape) and all(not isinstance(size, int) or size == n for size, n in sizes)


def _told(spec: TensorSpec) -> str:
    return f"{spec.name} [{', '.join('?' if size is None else str(size) for size in spec.shape)}]"


def _keeps(given: torch.dtype, wanted: torch.dtype) -> bool:
    """Whether numbers survive a change of dtype; float64 to float32 is the rounding that losses compute with."""
    if given == wanted:
        return True
    if wanted.is_floating_point:
        return wanted in (torch.float32, torch.float64)
    return not given.is_floating_point  # labels that can be scored fit every integer dtype in use
