"""The engines by name."""

import importlib

from evaltool.engines.modules import ModuleEngine

# imported when asked for: each brings a runtime of its own
PLACES = {
    "fused": ("fused_cuda", "FusedCudaEngine"),  # on a GPU
    "torch": ("torch_", "TorchEngine"),
    "torchscript": ("torchscript", "TorchScriptEngine"),
    "onnxruntime": ("onnxruntime_", "OnnxRuntimeEngine"),
    "aoti": ("aoti", "AotiEngine"),
}


def engine_class(name: str) -> type[ModuleEngine]:
    """Return the engine of a name of ``schema.ENGINES``; "auto" is torch."""
    module, found = PLACES["torch" if name == "auto" else name]
    engine: type[ModuleEngine] = getattr(importlib.import_module(f"evaltool.engines.{module}"), found)
    return engine
