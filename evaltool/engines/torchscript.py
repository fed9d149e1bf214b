"""The engine ``torchscript``: eager PyTorch's modules, compiled."""

from typing import Any

from evaltool.engines.torch_ import TorchEngine
from evaltool.numerics.scripting import scripted


def torchscript_engine(**arguments: Any) -> TorchEngine:
    """Return an engine whose modules are compiled to TorchScript; arguments as ``TorchEngine``'s."""
    return TorchEngine(name="torchscript", prepare=scripted, **arguments)
