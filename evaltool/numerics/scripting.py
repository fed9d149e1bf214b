"""TorchScript, compiled and loaded in this one place.

torch.jit warns since 2.11 that torch.export succeeds it; C++ pipelines still load TorchScript, so the warning is kept
from the user, who can do nothing about it here.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    """Return module compiled to TorchScript."""
    with _no_deprecation():
        return torch.jit.script(module)


def loaded(path: Path, device: torch.device | str = "cpu") -> torch.jit.ScriptModule:
    """Return the module of a TorchScript file. The file is code: ask whether it is trusted first."""
    with _no_deprecation():
        module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    return module


@contextmanager
def _no_deprecation() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=DeprecationWarning)
        yield
