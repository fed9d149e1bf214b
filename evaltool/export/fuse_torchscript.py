"""Losses around a user's TorchScript module: a module of its inputs and labels that gives its outputs and the losses.

TorchScript knows no functions of any number of arguments, so the outer module's ``forward`` is written as text for
the module's arguments and outputs.
"""

import io
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaltool.artifacts.archives import archive_names
from evaltool.artifacts.torchscript import METADATA, load_torchscript
from evaltool.artifacts.trust import artifact_bytes
from evaltool.errors import EvaltoolError
from evaltool.export.model_inputs import guessed_inputs
from evaltool.export.model_losses import ModelLosses
from evaltool.numerics.scripting import defined, saved
from evaltool.predictor.models import ModelInput, described_tensors

TENSOR, OPTIONAL = "Tensor", "Optional[Tensor]"  # arguments that stay inputs
EXTRA = "extra/"  # where an archive holds the user's files
MODEL = "model_"  # before the user's own metadata.json


class TorchScriptTarget:
    """A TorchScript file to be fused.

    Args:
        path: the file.
        trust: run it though no manifest vouches for it.

    Attributes:
        inputs: what the module takes, in order.
        outputs: names, in order, when it has run.
        taken: the names that new inputs cannot have.

    Raises:
        EvaltoolError: the file is no TorchScript or not trusted, or its ``forward`` takes more than tensors.
    """

    format = "torchscript"

    def __init__(self, path: Path, *, trust: bool) -> None:
        self.path = path
        names = archive_names(io.BytesIO(artifact_bytes(path, kind="torchscript")), path)
        self._extra: dict[str, Any] = {name.removeprefix(EXTRA): "" for name in names if name.startswith(EXTRA)}
        self._module = load_torchscript(path, trust=trust, extra_files=self._extra).eval()
        forward: Any = self._module.forward  # a ScriptMethod
        arguments = forward.schema.arguments[1:]
        self._arguments = [argument for argument in arguments if str(argument.type) in (TENSOR, OPTIONAL)]
        for argument in arguments:
            if argument not in self._arguments and not argument.has_default_value():
                raise EvaltoolError(
                    f"the model takes more than tensors\n  {path}: {argument.name} is {argument.type}, expected "
                    f"{TENSOR}\n  Give it a default, or wrap the module in one that takes tensors alone."
                )
        self._by_position = self._arguments == arguments[: len(self._arguments)]
        self._names = [argument.name for argument in self._arguments]
        self._needed = [argument.name for argument in self._arguments if not argument.has_default_value()]
        metadata = self._extra.get(METADATA, "")
        self._described = [spec["name"] for spec in described_tensors(metadata, "outputs")]
        guessed = {spec.name: spec for spec in guessed_inputs(self._module, self._needed, metadata)}
        self.inputs = [guessed.get(name, ModelInput(name, required=False)) for name in self._names]
        self.outputs: list[str] = []
        self.taken = {*self._names, "self"}
        # a variable in the text of forward, unlike any input
        self._result = next(name for name in _variables() if not any(taken.startswith(name) for taken in self._names))
        self._parts: dict[str, str] = {}  # by name of the output: where it is in what the module gives

    def __call__(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name; the module's own names where it has any."""
        result = _run(self._module, self._names, feeds)
        found = _parts(result, self._result, self._described)
        self._parts = {name: place for name, (place, _) in found.items()}
        self.outputs = list(self._parts)
        return {name: value for name, (_, value) in found.items() if isinstance(value, Tensor)}

    def write(
        self,
        path: Path,
        final: Path,
        losses: ModelLosses,
        *,
        preds: str,
        labels: str,
        outputs: Mapping[str, str],
        metadata: Mapping[str, Any],
    ) -> None:
        """Write the module with the losses around it; it must have run.

        Args:
            path: where to.
            final: the path that it will have.
            losses: the losses.
            preds: which output of the model they are given.
            labels: name of the new argument.
            outputs: names of the new outputs, by column.
            metadata: goes into the file.
        """
        holder = type("FusedFile", (nn.Module,), {})()  # a class of its own: TorchScript keeps methods by class
        holder.model = self._module
        holder.losses = losses.module(squeeze=losses.squeeze)
        script = defined(holder, self._forward(preds, labels, list(outputs))).eval()
        extra = {(MODEL if name == METADATA else "") + name: text for name, text in self._extra.items()}
        saved(script, path, {**extra, METADATA: json.dumps(metadata, ensure_ascii=False)})

    def runner(self, path: Path, final: Path) -> "TorchScriptRunner":
        """Return what runs a written file; ``final`` is the path that it will have."""
        return TorchScriptRunner(path)

    def _forward(self, preds: str, labels: str, columns: list[str]) -> str:
        """Return the text of ``forward``: the model's inputs, the labels, then the inputs that may be left out."""
        result, values = self._result, f"{self._result}_losses"
        needed = [f"{a.name}: {a.type}" for a in self._arguments if a.name in self._needed]
        others = [f"{a.name}: {OPTIONAL} = None" for a in self._arguments if a.name not in self._needed]
        call = [name if self._by_position else f"{name}={name}" for name in self._names]
        given = [*self._parts.values(), *(f"{values}[{column!r}]" for column in columns)]
        return (
            f"def forward({', '.join(['self', *needed, f'{labels}: {TENSOR}', *others])}):\n"
            f"    {result} = self.model({', '.join(call)})\n"
            f"    {values} = self.losses({self._parts[preds]}, {labels})\n"
            f"    return ({', '.join(given)},)\n"
        )


class TorchScriptRunner:
    """A written module, loaded again. It holds the code of a module that has run already."""

    def __init__(self, path: Path) -> None:
        extra: dict[str, Any] = {METADATA: ""}
        self._module = load_torchscript(path, trust=True, extra_files=extra)
        metadata = json.loads(extra[METADATA])
        forward: Any = self._module.forward
        self._names = [argument.name for argument in forward.schema.arguments[1:]]
        self.inputs: list[dict[str, Any]] = metadata["inputs"]
        self.outputs: list[dict[str, Any]] = metadata["outputs"]

    def __call__(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name."""
        result = _run(self._module, self._names, feeds)
        names = [spec["name"] for spec in self.outputs]
        return {name: value for name, value in zip(names, result, strict=True) if isinstance(value, Tensor)}


@torch.no_grad()
def _run(module: torch.jit.ScriptModule, names: list[str], feeds: Mapping[str, Tensor]) -> Any:
    """Return what a module gives for tensors by the names of its arguments; it may change those that it gets."""
    try:
        return module(**{name: feeds[name].clone() for name in names if name in feeds})
    except Exception as error:  # the interpreter puts the reason below a stack of its own
        raise RuntimeError(str(error).strip().splitlines()[-1].removeprefix("RuntimeError: ")) from error


def _parts(result: Any, variable: str, described: list[str]) -> dict[str, tuple[str, Any]]:
    """Return by name where each output is in a variable that holds what a module gives, and the output."""
    if isinstance(result, Mapping):
        return {str(key): (f"{variable}[{key!r}]", value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        numbered = described if len(described) == len(result) else [f"output{i}" for i in range(len(result))]
        names = getattr(result, "_fields", numbered)
        return {name: (f"{variable}[{i}]", value) for i, (name, value) in enumerate(zip(names, result, strict=True))}
    return {"output": (variable, result)}


def _variables() -> Iterator[str]:
    yield from ("found" + "_" * number for number in itertools.count())
