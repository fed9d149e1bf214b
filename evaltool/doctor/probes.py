"""What runs in the child process: each probe imports what it asks about, and returns what JSON can say."""

import importlib
import importlib.util
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

# an ONNX model of opset 18 with one node, y = Add(x, x), float32 [1]: onnx need not be here
DOUBLED = (
    b'\x08\n:;\n\x0e\n\x01x\n\x01x\x12\x01y"\x03Add\x12\x07doubledZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08'
    b"\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x12"
)


def import_error(module: str) -> dict[str, Any]:
    """Return why a module cannot be imported, or None, under ``error``."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return {"error": _line(error)}
    return {"error": None}


def torch_facts() -> dict[str, Any]:
    """Return torch's version, the CUDA it is built with, its instruction set, and the GPUs it sees and can use."""
    import torch

    from evaltool.numerics.scripting import scripted

    with warnings.catch_warnings(record=True) as caught:  # torch warns of a driver that is too old
        warnings.simplefilter("always")
        gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda or torch.version.hip,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "scripts": isinstance(scripted(torch.nn.Identity()), torch.jit.ScriptModule),
        "gpus": [_gpu(index) for index in gpus],
        "warning": _line(caught[0].message) if caught else None,
    }


def _gpu(index: int) -> dict[str, Any]:
    import torch

    known = torch.cuda.get_device_properties(index)
    try:  # a GPU that this build has no kernels for is seen, but computes nothing
        torch.ones(2, device=f"cuda:{index}").add_(1).sum().item()
        error = None
    except RuntimeError as wrong:
        error = _line(wrong)
    return {
        "name": known.name,
        "memory": known.total_memory,
        "compute_capability": f"{known.major}.{known.minor}",
        "error": error,
    }


def onnxruntime_facts(gpu: bool) -> dict[str, Any]:
    """Return ONNX Runtime's version, None where it is absent, where it lies, and which providers work.

    A provider that is listed as available may run on the CPU without a word, so each one gets a session.

    Args:
        gpu: whether a GPU is there, and CUDA's libraries are to be found first.
    """
    found = importlib.util.find_spec("onnxruntime")
    if found is None:
        return {"version": None, "path": None, "providers": []}
    folder = next(iter(found.submodule_search_locations or ()), None)
    known: dict[str, Any] = {"version": None, "path": folder, "providers": []}
    try:
        runtime = importlib.import_module("onnxruntime")
    except Exception as error:
        return {**known, "error": _line(error)}
    if not hasattr(runtime, "InferenceSession"):  # the folder without its files is a namespace package
        return {**known, "error": "files of onnxruntime are missing: it has no InferenceSession"}
    if gpu and hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()
    providers = [_provider(runtime, name) for name in runtime.get_available_providers()]
    return {**known, "version": runtime.__version__, "providers": providers}


def _provider(runtime: Any, name: str) -> dict[str, Any]:
    """Return whether a session gets the provider it asks for and computes with it, or why not."""

    def works() -> bool:
        import numpy as np

        session = runtime.InferenceSession(DOUBLED, providers=[name], enable_fallback=0)
        doubled = session.run(None, {"x": np.ones(1, np.float32)})[0]
        return bool(session.get_providers()[0] == name and doubled == 2)

    worked, log = _logged(works)
    missing = re.search(r"with error: (.+)", log)  # the library that could not be loaded
    reason = missing[1].strip() if missing else (log.strip().splitlines() or ["a session runs on the CPU instead"])[-1]
    return {"name": name, "works": worked, "reason": None if worked else reason}


def _logged(call: Callable[[], bool]) -> tuple[bool, str]:
    """Return what call returns, False if it raises, and its error and what was written to stderr, by C++ too."""
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            returned, said = call(), ""
        except Exception as error:
            returned, said = False, _line(error)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        written = re.sub(r"\x1b\[[0-9;]*m", "", file.read().decode(errors="replace"))  # colours
        return returned, written + said


def _line(error: Any) -> str:
    """Return an error as one line: its type, and the first line of what it says."""
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said}".removesuffix(": ")
