"""What is here without importing it: the CPU, NVIDIA's driver, a C++ compiler, installed distributions."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

DRIVER = Path("/proc/driver/nvidia")
QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
NO_DEVICE = 6  # nvidia-smi's exit status where the driver works and there is no GPU


def cpu_and_memory() -> dict[str, Any]:
    """Return the platform, the CPU's name, the cores this process may use, and the memory in bytes or None."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        memory = None
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return {"platform": platform.platform(), "cpu": _cpu(), "cores": cores, "memory": memory}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = _said("sysctl", "machdep.cpu.brand_string")[1].splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "machdep"))]
    return (*named, platform.processor(), platform.machine())[0] or platform.machine()


def driver() -> dict[str, Any]:
    """Return the NVIDIA driver's ``version``, its ``gpus`` (name, memory in bytes or None), and its ``error``.

    nvidia-smi is asked; without it, what the driver shows under /proc.
    """
    status, text = _said("nvidia-smi", *QUERY)
    if status == 0:
        rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.count(",") == 2]
        gpus = [{"name": name, "memory": int(size) * 2**20 if size.isdecimal() else None} for name, size, _ in rows]
        return {"version": rows[0][2] if rows else None, "gpus": gpus, "error": None}
    if status not in (None, NO_DEVICE):
        said = " ".join(text.split()) or f"exit status {status}"
        return {"version": None, "gpus": [], "error": f"nvidia-smi: {said}"}
    try:
        version = (DRIVER / "version").read_text().partition("Kernel Module")[2].split()
        models = [path.read_text() for path in sorted(DRIVER.glob("gpus/*/information"))]
    except OSError:
        return {"version": None, "gpus": [], "error": None}
    names = [line.partition(":")[2].strip() for text in models for line in text.splitlines() if "Model:" in line]
    number = next((word for word in version if word[0].isdigit()), None)
    return {"version": number, "gpus": [{"name": name, "memory": None} for name in names], "error": None}


def compiler() -> dict[str, str | None]:
    """Return the C++ compiler that the export of a pt2 file would call, and its version, None where it is absent."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    command = os.environ.get("CXX", "").strip() or usual
    status, text = _said(*command.split(), "--version")
    return {"command": command, "version": None if status is None else (text.splitlines() or [command])[0]}


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def wheels() -> dict[str, str]:
    """Return the installed distributions that put their files into the folder ``onnxruntime``, with versions."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = (distribution.name or "").lower().replace("_", "-")
        files = distribution.files if name.startswith(("onnxruntime", "ort-")) else []
        # onnxruntime-extensions and the like have folders of their own
        if files is None or any(file.as_posix() == "onnxruntime/__init__.py" for file in files):
            found.setdefault(name, distribution.version)
    return found


def _said(command: str, *arguments: str) -> tuple[int | None, str]:
    """Return the exit status of a command and what it wrote, or None and nothing where it cannot be run."""
    path = shutil.which(command)
    if path is None:
        return None, ""
    try:
        ended = subprocess.run([path, *arguments], capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return ended.returncode, ended.stdout.strip() or ended.stderr.strip()
