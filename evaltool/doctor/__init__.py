"""What this machine can run: facts, the engines that follow from them, and what is broken."""

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import evaltool
from evaltool.doctor.advice import engines, problems
from evaltool.doctor.child import probe
from evaltool.doctor.machine import compiler, cpu_and_memory, driver, version_of, wheels

# what is imported: the distribution it comes from
PACKAGES = {
    **{name: name for name in ("click", "numpy", "pyarrow", "rich", "onnx", "onnxscript", "duckdb", "numba", "triton")},
    "sklearn": "scikit-learn",
    "dask": "dask",
    "ray": "ray",
}


def diagnosis() -> dict[str, Any]:
    """Return everything `evaltool doctor --json` prints.

    Returns:
        ``evaltool``, ``python``, ``machine`` (memory in bytes), ``driver`` (NVIDIA's, and its GPUs), ``hidden``
        (whether CUDA_VISIBLE_DEVICES hides them), ``torch``, ``onnxruntime``, ``packages``, ``compiler``;
        ``engines``: for each its name, the devices it runs on and a note; ``problems``: for each what is wrong and
        what to do. What could not be found out is None, or has an ``error``.
    """
    card, machine = driver(), cpu_and_memory()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    with ThreadPoolExecutor(machine["cores"]) as pool:
        torch = pool.submit(probe, "torch_facts")
        onnxruntime = pool.submit(probe, "onnxruntime_facts", bool(card["gpus"]) and not hidden)
        packages = {name: pool.submit(_package, module, name) for module, name in PACKAGES.items()}
    facts = {
        "evaltool": evaltool.__version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "machine": machine,
        "driver": card,
        "hidden": hidden,
        "torch": {"installed": version_of("torch"), **torch.result()},
        "onnxruntime": {"wheels": wheels(), **onnxruntime.result()},
        "packages": {name: package.result() for name, package in packages.items()},
        "compiler": compiler(),
    }
    return {**facts, "engines": engines(facts), "problems": problems(facts)}


def _package(module: str, name: str) -> dict[str, Any]:
    """Return a package's version, None where it is not installed, and why it cannot be imported."""
    version = version_of(name)
    error = probe("import_error", module)["error"] if version else None
    return {"version": version, "error": error}
