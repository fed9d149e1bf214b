"""Models of three formats behind one small interface: tensors by name in, tensors by name out."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from evaltool.artifacts.archives import archive_names
from evaltool.artifacts.pt2 import load_pt2
from evaltool.artifacts.torchscript import METADATA, load_torchscript
from evaltool.devices import is_out_of_memory
from evaltool.errors import EvaltoolError

# how compiled code, which knows what batches it takes and tells nobody before it runs, refuses one
BATCH_BOUND = re.compile(
    r"dim value(?: is)? ?(too small|too large|) at 0, expected(?: it)?(?: to be)?:? (?:[<>]= )?(\d+)"
)
FORMAT_OF_SUFFIX = {".onnx": "onnx", ".pt2": "pt2", ".pt": "torchscript", ".pth": "torchscript", ".ts": "torchscript"}
UNCHECKED_FLOATS = "float32"  # what a model takes whose numbers do not say


@dataclass(frozen=True)
class ModelInput:
    """An input of a model.

    Attributes:
        name: what the model calls it.
        dtype: the one that it takes; None where the file does not say.
        shape: of a batch; a size is a number only where no other will do. None where the file does not say.
        required: whether the model runs without it.
    """

    name: str
    dtype: str | None = None
    shape: tuple[str | int | None, ...] | None = None
    required: bool = True


class Model(Protocol):
    """A model ready to run on batches of rows.

    Attributes:
        path: its file.
        format: "torchscript", "onnx" or "pt2".
        device: where it runs.
        provider: what runs it.
        inputs: what it takes, in order.
        floats: the dtype of floats where an input does not say.
        fewest, most: how many rows a batch may have; a pt2 package tells by raising ``AnotherBatchError``.
    """

    path: Path
    format: str
    device: torch.device
    provider: str
    inputs: list[ModelInput]
    floats: str
    fewest: int
    most: int | None

    def __call__(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name.

        Raises:
            Exception: the model failed on these tensors; runtimes have no common class of errors.
        """

    def close(self) -> None:
        """Give back the model's memory."""


class TorchScriptModel:
    """A TorchScript module; its inputs have the names of forward's arguments."""

    format = "torchscript"
    fewest = 1
    most: int | None = None

    def __init__(self, path: Path, *, trust: bool, device: torch.device) -> None:
        self.path = path
        self.device = device
        self.provider = "TorchScript"
        extra: dict[str, Any] = {METADATA: ""}
        self._module = load_torchscript(path, trust=trust, device=device, extra_files=extra).eval()
        self._outputs = [spec["name"] for spec in described_tensors(extra[METADATA], "outputs")]
        forward: Any = self._module.forward  # a ScriptMethod
        arguments = forward.schema.arguments[1:]
        self.inputs = [
            ModelInput(argument.name, required=not argument.has_default_value())
            for argument in arguments
            if str(argument.type) in ("Tensor", "Optional[Tensor]")
        ]
        known = {spec.name for spec in self.inputs}
        for argument in arguments:
            if argument.name not in known and not argument.has_default_value():
                raise EvaltoolError(
                    f"the model takes more than tensors\n  {path}: {argument.name} is {argument.type}, expected "
                    "Tensor\n  Give it a default, or wrap the module in one that takes tensors alone."
                )
        self.floats = _float_dtype(self._module)

    def __call__(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name; see ``Model``."""
        try:
            return named(self._module(**feeds), self._outputs)
        except Exception as error:  # the interpreter puts the reason below a stack of its own
            if is_out_of_memory(error):
                raise
            raise RuntimeError(str(error).strip().splitlines()[-1].removeprefix("RuntimeError: ")) from error

    def close(self) -> None:
        """Give back the module's memory."""
        del self._module


class OnnxModel:
    """An ONNX graph in ONNX Runtime."""

    format = "onnx"
    floats = UNCHECKED_FLOATS

    def __init__(self, path: Path, *, trust: bool, device: torch.device) -> None:
        from evaltool.artifacts.onnx_files import open_onnx  # here: onnx and ONNX Runtime take a while

        self.path = path
        self.device = device
        self._session = open_onnx(path, device)
        self.provider = self._session.provider
        # an empty shape is that of a number, and of an input without a shape
        self.inputs = [ModelInput(spec.name, spec.dtype, spec.shape or None) for spec in self._session.inputs]
        self.most = next((s.shape[0] for s in self.inputs if s.shape and isinstance(s.shape[0], int)), None)
        self.fewest = self.most or 1

    def __call__(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name; see ``Model``."""
        return named(self._session.run(feeds))

    def close(self) -> None:
        """Give back the graph's memory."""
        self._session.close()


class Pt2Model:
    """A package compiled by AOTInductor; inputs that it does not name are input0, input1, ..."""

    format = "pt2"
    floats = UNCHECKED_FLOATS

    def __init__(self, path: Path, *, trust: bool, device: torch.device) -> None:
        self.path = path
        self.device = device
        self.provider = "AOTInductor"
        self.fewest = 1
        self.most: int | None = None
        self._package = load_pt2(path, trust=trust, device=device)
        specs = self._package.inputs
        self._largest = 0  # rows of a batch that it took
        if specs is None:
            self.inputs = [ModelInput(name) for name in self._package.names]
        else:
            self.inputs = [ModelInput(spec.name, spec.dtype, spec.shape) for spec in specs]

    def __call__(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name; see ``Model``."""
        try:
            tensors = [feeds[spec.name] for spec in self.inputs]
            with nullcontext() if len(tensors[0]) <= self._largest else _silence():
                result = self._package.run(tensors)
            self._largest = max(self._largest, len(tensors[0]))
            return named(result)
        except RuntimeError as error:
            found = BATCH_BOUND.search(str(error))
            if not found:
                raise
            kind, bound = found[1], int(found[2])
            fewest = self.fewest if kind == "too large" else bound
            most = self.most if kind == "too small" else bound
            if (fewest, most) == (self.fewest, self.most):
                raise
            self.fewest, self.most = fewest, most
            raise AnotherBatchError(str(error)) from error

    def close(self) -> None:
        """Give back the package's memory."""
        del self._package


@contextmanager
def _silence() -> Iterator[None]:
    """Keep from stderr what compiled code says there about an error that it raises as well."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


class AnotherBatchError(Exception):
    """A model turned out to take batches of another number of rows, its ``fewest`` to its ``most``."""


FORMATS: dict[str, Callable[..., Model]] = {"torchscript": TorchScriptModel, "onnx": OnnxModel, "pt2": Pt2Model}


def open_model(path: Path, *, trust: bool, device: torch.device) -> Model:
    """Return a model ready to run.

    Raises:
        EvaltoolError: the file is no model, not trusted, or does not run on the device.
    """
    return FORMATS[format_of(path)](path, trust=trust, device=device)


def format_of(path: Path) -> str:
    """Return a file's format, by its content where it is a zip archive."""
    if path.is_dir() or not path.exists():
        wrong = "this is a directory" if path.is_dir() else "no such file"
        raise EvaltoolError(f"{wrong}\n  {path}\n  Give a model's file: TorchScript (.pt), ONNX (.onnx) or .pt2.")
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return "pt2" if "archive_format" in archive_names(file, path) else "torchscript"
    if path.suffix.lower() not in FORMAT_OF_SUFFIX:
        raise EvaltoolError(
            f"not a model that can be run\n  {path}: got {path.suffix or 'no suffix'}, expected TorchScript (.pt), "
            "ONNX (.onnx) or .pt2\n  Export the model to one of them."
        )
    return FORMAT_OF_SUFFIX[path.suffix.lower()]


def described_tensors(metadata: str | bytes, role: str) -> list[dict[str, Any]]:
    """Return the "inputs" or "outputs" of a TorchScript file's metadata, each with a name of its own; else none."""
    try:
        specs = list(json.loads(metadata)[role])
        names = {spec["name"] for spec in specs}
    except (ValueError, TypeError, KeyError):  # none, or somebody else's
        return []
    return specs if len(names) == len(specs) and all(isinstance(name, str) for name in names) else []


def named(result: Any, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return a model's tensors by name.

    Args:
        result: what the model gives; its own names count, where it has any.
        names: those of a tuple without names, if they are as many; else output, or output0, output1, ...
    """
    if isinstance(result, Tensor):
        return {"output": result}
    if isinstance(result, Mapping):
        items = result.items()
    elif hasattr(result, "_fields"):
        items = result._asdict().items()
    elif isinstance(result, (list, tuple)):
        numbered = names if len(names) == len(result) else [f"output{i}" for i in range(len(result))]
        items = dict(zip(numbered, result, strict=True)).items()
    else:
        items = {}.items()
    return {str(name): value for name, value in items if isinstance(value, Tensor)}


def _float_dtype(module: torch.jit.ScriptModule) -> str:
    """Return the dtype of a module's floats: of its first parameter, buffer, or constant of a frozen graph."""
    numbers = [*module.parameters(), *module.buffers()]
    graph: Any = module.graph  # PyTorch's stubs leave most of it out
    constants = [node for node in graph.findAllNodes("prim::Constant") if node.hasAttribute("value")]
    numbers += [node.t("value") for node in constants if node.kindOf("value") == "t"]
    # numbers without an axis are seldom weights
    floats = (str(n.dtype).removeprefix("torch.") for n in numbers if n.is_floating_point() and n.dim())
    return next(floats, UNCHECKED_FLOATS)
