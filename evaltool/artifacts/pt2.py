"""pt2 packages: a module compiled ahead of time by AOTInductor, and the checks that the compiled code leaves out.

A package is native code for one device and one family of processors. The code reads memory as the dtypes, strides and
sizes it was compiled for, whatever it is given; so every call goes through ``Pt2Package.run``.
"""

import io
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as symbolic
from torch.utils import _pytree as pytree

from evaltool.artifacts.archives import archive_names
from evaltool.artifacts.props import prop_texts
from evaltool.artifacts.signature import Signature, TensorSpec
from evaltool.artifacts.trust import artifact_bytes, check_trusted
from evaltool.errors import EvaltoolError

# 256 bits is AVX2: code compiled on a machine with AVX-512 runs on those without
SETTINGS = {"cpp.simdlen": 256}
ADVICE = (
    "Compile one on a machine like this, with evaltool export --format pt2 or torch._inductor.aoti_compile_and_package."
)


@torch.inference_mode(False)  # which an engine computes in, and nothing is exported from
def compile_pt2(
    module: nn.Module,
    signature: Signature,
    path: Path,
    metadata: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> None:
    """Write a module to a pt2 package for a device; it takes a C++ compiler and the better part of a minute.

    Raises:
        EvaltoolError: there is no C++ compiler.
    """
    compiler = os.environ.get("CXX", "").split() or ["g++"]  # may be "ccache g++"
    if shutil.which(compiler[0]) is None:
        raise EvaltoolError(
            f"a pt2 package needs a C++ compiler\n  {compiler[0]}: not found\n  Install g++, or name another in the "
            "variable CXX."
        )
    device = torch.device(device)
    example = tuple(tensor.to(device) for tensor in signature.example())
    with _quiet(), _any_size():
        program = exported_program(module.to(device), signature, example)
        torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(path),
            inductor_configs={**SETTINGS, "aot_inductor.metadata": prop_texts(metadata or {})},
        )


def exported_program(
    module: nn.Module, signature: Signature, example: tuple[Tensor, ...]
) -> torch.export.ExportedProgram:
    """Return a module as torch.export sees it, for every size that the signature leaves free, 0 and 1 included."""
    with _any_size():
        return torch.export.export(module.eval(), example, dynamic_shapes=signature.dynamic_shapes(), strict=False)


def load_pt2(path: Path, *, trust: bool, device: torch.device | str = "cpu") -> "Pt2Package":
    """Return a package ready to run.

    Args:
        path: the package.
        trust: run it though no manifest vouches for it.
        device: where its inputs are.

    Raises:
        EvaltoolError: the file is missing, not trusted, no pt2 package, or compiled for another device.
    """
    data = artifact_bytes(path, kind="pt2")
    names = archive_names(io.BytesIO(data), path) if data.startswith(b"PK") else set()
    if "models/model.json" in names and not any(name.startswith("data/aotinductor/") for name in names):
        raise EvaltoolError(
            f"an exported program, not a compiled package\n  {path}: written by torch.export.save\n  Compile it: "
            "torch._inductor.aoti_compile_and_package(torch.export.load(path), package_path=...)."
        )
    if "archive_format" not in names:
        raise EvaltoolError(f"not a pt2 package\n  {path}: {len(data)} bytes of something else\n  {ADVICE}")
    check_trusted(path, trust=trust, kind="pt2", data=data)
    # the loader wants a path; under this one lies what was judged
    with tempfile.NamedTemporaryFile(suffix=".pt2") as copy:
        copy.write(data)
        copy.flush()
        return Pt2Package(Path(copy.name), device, name=str(path))


class Pt2Package:
    """A package ready to run. It is code: ask whether it is trusted first.

    Args:
        path: the package.
        device: where its inputs are; it has to be the kind of device that it was compiled for.
        name: what to call it; by default its path.

    Attributes:
        inputs: the specs that the package's metadata gives; None for a package of another maker.
        names: of the inputs; input0, input1, ... where nothing names them.
        metadata: texts by key.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu", *, name: str = "") -> None:
        self.device = torch.device(device)
        os.environ["AOTI_RUNTIME_CHECK_INPUTS"] = "1"  # read by compiled code at its first call
        try:
            with _quiet():
                self._package = torch._inductor.aoti_load_package(
                    str(path), device_index=self.device.index or 0 if self.device.type == "cuda" else -1
                )
        except (RuntimeError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise EvaltoolError(f"not a pt2 package that runs here\n  {name or path}: {reason}\n  {ADVICE}") from error
        self.metadata: dict[str, str] = dict(self._package.loader.get_metadata())
        built = self.metadata.get("AOTI_DEVICE_KEY", self.device.type)
        if built != self.device.type:
            raise EvaltoolError(
                f"the package was compiled for another device\n  {name or path}: {built}, expected {self.device.type}\n"
                f"  Pass --device {built}, or export it for {self.device.type}."
            )
        self.inputs = _specs(self.metadata)
        taken = pytree.treespec_loads(self._package.loader.get_call_spec()[0])  # of (arguments, keyword arguments)
        self._keywords: list[str] = list(taken.child(1).context)
        positional = [f"input{i}" for i in range(taken.num_leaves - len(self._keywords))]
        self.names = [spec.name for spec in self.inputs or ()] or [*positional, *self._keywords]

    def run(self, tensors: Sequence[Tensor]) -> Any:
        """Return what the module returns: a tensor, a sequence or a dict of them.

        Raises:
            RuntimeError: the tensors are not what it was compiled for, or it failed on them.
        """
        for tensor, spec in zip(tensors, self.inputs or (), strict=self.inputs is not None):
            if str(tensor.dtype) != f"torch.{spec.dtype}" or tensor.dim() != len(spec.shape):
                raise RuntimeError(
                    f"{spec.name} is {tensor.dtype} {list(tensor.shape)}, expected {spec.dtype} {list(spec.shape)}"
                )
        inputs = [_in_memory_order(tensor.detach().to(self.device)) for tensor in tensors]
        try:
            with _quiet():
                first = len(inputs) - len(self._keywords)
                return self._package(*inputs[:first], **dict(zip(self._keywords, inputs[first:], strict=True)))
        except RuntimeError as error:
            raise RuntimeError(str(error).strip().splitlines()[0]) from error

    def outputs(self, result: Any) -> list[Tensor]:
        """Return the tensors of what ``run`` returned, in order."""
        return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]


def _in_memory_order(tensor: Tensor) -> Tensor:
    """Return a tensor with the strides that compiled code assumes; an empty one counts as contiguous with any."""
    return tensor.contiguous() if tensor.numel() else tensor.new_empty(tensor.shape)


def _specs(metadata: Mapping[str, str]) -> list[TensorSpec] | None:
    try:
        inputs = json.loads(metadata["inputs"])
        return [TensorSpec(item["name"], item["dtype"], tuple(item["shape"])) for item in inputs]
    except (KeyError, TypeError, ValueError):
        return None


def _any_size() -> Any:
    """Keep programs, and code compiled of them, from refusing sizes of 0 and 1, or from being for the others only."""
    return symbolic.patch("backed_size_oblivious", True)  # type: ignore[attr-defined]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the user what PyTorch says about itself."""
    logger = logging.getLogger("torch.export.pt2_archive._package")  # warns that AVX2 code runs on AVX-512
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
