"""TorchScript, compiled in this one place."""

import warnings

import torch
from torch import nn


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    """Return module compiled to TorchScript.

    torch.jit.script warns since 2.11 that torch.export succeeds it; C++ pipelines still load TorchScript, so the
    warning is not the user's business here.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=DeprecationWarning)
        return torch.jit.script(module)
