"""What it was measured on."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("evaltool", "torch", "numba", "triton", "numpy", "onnxruntime", "onnxruntime-gpu", "cleanlab", "torchmetrics"),
    *("monai", "scikit-learn", "liger-kernel", "apex"),
)


def machine(threads: int, device: str, clock: str) -> dict[str, Any]:
    """Return the date, the processor, how busy it is (``load``, tasks over the last minute), and versions."""
    found = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "clock": clock,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }
    if device != "cpu":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
        fields = {name.strip(): value.strip() for name, value in fields.items()}
        widest = next((name for name in ("avx512f", "avx2", "sse4_2") if name in fields.get("flags", "").split()), "")
        return f"{fields.get('model name', platform.processor())} {widest}".strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
