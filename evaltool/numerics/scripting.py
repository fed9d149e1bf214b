"""TorchScript, compiled and loaded in this one place.

torch.jit warns since 2.11 that torch.export succeeds it; C++ pipelines still load TorchScript, so the warning is kept
from the user, who can do nothing about it here.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    """Return module compiled to TorchScript."""
    with _no_deprecation():
        return torch.jit.script(module)


def defined(module: nn.Module, *methods: str) -> torch.jit.ScriptModule:
    """Return module compiled to TorchScript with methods given as TorchScript source."""
    script = scripted(module)
    with _no_deprecation():
        for method in methods:
            script.define(method)
    return script


def saved(script: torch.jit.ScriptModule, path: Path, extra_files: dict[str, str] | None = None) -> None:
    """Write a TorchScript file, the same bytes for the same module.

    Left out are the notes for tracebacks, half of the bytes: they hold the paths of the machine that wrote them.

    Args:
        script: the module.
        path: where to.
        extra_files: texts by name to hold beside the module.
    """
    whole = io.BytesIO()
    with _no_deprecation():
        torch.jit.save(script, whole, _extra_files=extra_files)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            if not member.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(member.filename), source.read(member), member.compress_type)


def loaded(
    file: BinaryIO, device: torch.device | str = "cpu", extra_files: dict[str, Any] | None = None
) -> torch.jit.ScriptModule:
    """Return the module of an open TorchScript file. The file is code: ask whether it is trusted first.

    Args:
        file: open for reading.
        device: where its tensors go.
        extra_files: names of files to read beside the module; their bytes are filled in.
    """
    with _no_deprecation():
        module: torch.jit.ScriptModule = torch.jit.load(file, device, extra_files)  # type: ignore[no-untyped-call]
    return module


@contextmanager
def _no_deprecation() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=DeprecationWarning)
        yield
