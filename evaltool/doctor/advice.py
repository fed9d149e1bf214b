"""What follows from the facts: where each engine runs, what is broken, and what to do."""

import platform
import sys
from collections.abc import Iterator, Mapping
from typing import Any

Facts = Mapping[str, Any]

REQUIRED = ("torch", "numba", "numpy", "pyarrow", "click", "rich")
BUILDS = "https://pytorch.org/get-started/locally"
CUDA = "CUDAExecutionProvider"


def engines(facts: Facts) -> list[dict[str, Any]]:
    """Return for each engine its name, the devices it runs on, and a note on what it lacks, or None."""
    torch, devices = facts["torch"], _torch_devices(facts)
    note = _gpu_note(facts, used=len(devices) > 1) if devices else "torch does not work: see the problems"
    scripts = devices and torch["scripts"]
    off = "PYTORCH_JIT=0 turns TorchScript off: unset it" if devices else note
    return [
        _fused(facts["packages"]["numba"]),
        {"engine": "torch", "devices": devices, "note": note},
        {"engine": "torchscript", "devices": devices if scripts else [], "note": note if scripts else off},
        _onnxruntime(facts),
        {"engine": "aoti", "devices": devices, "note": _compiler_note(facts, note) if devices else note},
    ]


def problems(facts: Facts) -> list[dict[str, str]]:
    """Return what is broken: what is wrong, and what to do; a GPU or a package that is not there is no problem."""
    found = (*_driver_problems(facts), *_package_problems(facts), *_onnxruntime_problems(facts))
    return [{"wrong": wrong, "do": do} for wrong, do in found]


def onnxruntime_wheel() -> str:
    """Return the wheel of ONNX Runtime to install here: one serves CPU and GPU where it exists."""
    both = (sys.platform, platform.machine()) in (("linux", "x86_64"), ("win32", "AMD64"))
    return "onnxruntime-gpu" if both else "onnxruntime"


def _torch_devices(facts: Facts) -> list[str]:
    torch = facts["torch"]
    if torch["error"]:
        return []
    return ["cpu", *(f"cuda:{index}" for index, gpu in enumerate(torch["gpus"]) if not gpu["error"])]


def _gpu_note(facts: Facts, *, used: bool) -> str | None:
    """Return why an engine that runs on the CPU runs on no GPU."""
    if used:
        return None
    if facts["hidden"]:
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    return "the GPU is not used: see the problems" if facts["driver"]["gpus"] else "no GPU here"


def _compiler_note(facts: Facts, note: str | None) -> str | None:
    compiler = facts["compiler"]
    if compiler["version"]:
        return note
    return f"runs pt2 files; to export them install a C++ compiler or set CXX ({compiler['command']} is not here)"


def _fused(numba: Mapping[str, Any]) -> dict[str, Any]:
    broken = numba["error"] or numba["version"] is None
    note = "numba does not work: see the problems" if broken else None
    return {"engine": "fused", "devices": [] if broken else ["cpu"], "note": note}


def _onnxruntime(facts: Facts) -> dict[str, Any]:
    known = facts["onnxruntime"]
    if known["error"]:
        return {"engine": "onnxruntime", "devices": [], "note": "ONNX Runtime does not work: see the problems"}
    if known["version"] is None:
        return {"engine": "onnxruntime", "devices": [], "note": f"not installed: pip install {onnxruntime_wheel()}"}
    works = {row["name"]: row["works"] for row in known["providers"]}
    names = {"CPUExecutionProvider": "cpu", CUDA: "cuda"}
    if CUDA not in works and facts["driver"]["gpus"] and not facts["hidden"]:
        here = " ".join(known["wheels"]) or "onnxruntime"
        note: str | None = f"no CUDA in this wheel: pip uninstall -y {here} && pip install {onnxruntime_wheel()}"
    else:
        note = _gpu_note(facts, used=works.get(CUDA, False))
    return {"engine": "onnxruntime", "devices": [names[name] for name in names if works.get(name)], "note": note}


def _driver_problems(facts: Facts) -> Iterator[tuple[str, str]]:
    driver, torch = facts["driver"], facts["torch"]
    if driver["error"]:
        yield (
            f"NVIDIA's driver does not answer: {driver['error']}",
            "Load or reinstall the driver until `nvidia-smi` lists the GPU; without a GPU, remove nvidia-smi.",
        )
    if torch["error"]:
        return
    for index, gpu in enumerate(torch["gpus"]):
        if gpu["error"]:
            yield (
                f"torch {torch['version']} computes nothing on cuda:{index} ({gpu['name']}, compute capability "
                f"{gpu['compute_capability']}): {gpu['error']}",
                f"Install a torch build for this GPU: {BUILDS}",
            )
    if driver["gpus"] and not torch["gpus"] and not facts["hidden"]:
        names = ", ".join(gpu["name"] for gpu in driver["gpus"])
        if torch["cuda"] is None:
            wrong = f"torch {torch['version']} is built without CUDA and cannot use the GPU ({names})"
            yield wrong, f"Install a build with CUDA: {BUILDS}; or hide the GPU: CUDA_VISIBLE_DEVICES=-1"
        else:
            said = f": {torch['warning']}" if torch["warning"] else ""
            yield (
                f"torch {torch['version']}, built with CUDA {torch['cuda']}, does not see the GPU ({names}, driver "
                f"{driver['version']}){said}",
                f"Update the driver, or install a torch build for an older CUDA: {BUILDS}; start a container with "
                "--gpus all.",
            )


def _package_problems(facts: Facts) -> Iterator[tuple[str, str]]:
    torch = facts["torch"]
    version = torch.get("version") or torch["installed"]  # one built here may have no metadata
    packages = {"torch": {"version": version, "error": torch["error"]}, **facts["packages"]}
    for name, package in packages.items():
        version, error = package["version"], package["error"]
        if version and error:
            do = f"{_reinstall(name, version)}; `pip check` lists versions that do not fit together"
            yield f"{name} {version} cannot be imported: {error}", do
        elif name in REQUIRED and version is None:
            yield f"{name} is not installed, and evaltool needs it", f"pip install {name}"


def _onnxruntime_problems(facts: Facts) -> Iterator[tuple[str, str]]:
    known = facts["onnxruntime"]
    wheels = known["wheels"]
    named = ", ".join(f"{name} {version}" for name, version in wheels.items())
    if len(wheels) > 1:
        yield (
            f"{len(wheels)} wheels of ONNX Runtime share one folder and overwrite each other: {named}",
            f"pip uninstall -y {' '.join(wheels)} && pip install {onnxruntime_wheel()}",
        )
    elif wheels and known["error"]:
        yield f"{named} cannot be used: {known['error']}", _reinstall(*next(iter(wheels.items())))
    elif known["error"]:
        do = f"Delete {known.get('path') or 'it'}, then pip install {onnxruntime_wheel()}"
        yield f"onnxruntime is there without its wheel and cannot be used: {known['error']}", do
    gpu = facts["driver"]["gpus"] and not facts["hidden"]
    for row in known.get("providers", ()):
        if row["works"] or len(wheels) > 1:
            continue
        if row["name"] == "CPUExecutionProvider":
            yield f"ONNX Runtime computes nothing on the CPU: {row['reason']}", f"pip install {onnxruntime_wheel()}"
        elif row["name"] == CUDA and gpu:
            yield (
                f"ONNX Runtime lists {CUDA}, but does not run on the GPU: {row['reason']}",
                f"Install its CUDA libraries: pip install 'onnxruntime-gpu[cuda,cudnn]=={known['version']}'",
            )


def _reinstall(name: str, version: str) -> str:
    """Return the command that writes a wheel's files again."""
    build = version.partition("+")[2]  # torch's builds such as 2.13.0+cpu have an index of their own
    index = f" --index-url https://download.pytorch.org/whl/{build}" if build else ""
    return f"pip install --force-reinstall --no-deps {name}=={version}{index}"
