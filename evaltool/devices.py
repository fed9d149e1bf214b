"""Devices: which one a job computes on, and when an error means that its memory is full."""

import glob
import os
import sys
from typing import TYPE_CHECKING

from evaltool.errors import EvaltoolError

if TYPE_CHECKING:
    import torch

# what PyTorch's allocators on CPU and GPU, CUDA's libraries and ONNX Runtime say
OUT_OF_MEMORY = ("out of memory", "allocate memory", "bad_alloc", "STATUS_ALLOC_FAILED")
# what a driver leaves that PyTorch could use: NVIDIA's, in WSL, on Jetson, AMD's, on Windows
DRIVERS = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/dxg", "/dev/nvgpu", "/dev/nvhost-gpu", "/dev/kfd")
WINDOWS_DRIVER = "System32/nvcuda.dll"


def is_cpu(device: str) -> bool:
    """Whether "cpu" is asked for, or "auto" finds no GPU; imports torch only where a driver could bring one.

    A device that is neither is the business of ``chosen_device``.
    """
    if device != "auto":
        return device == "cpu"
    if "torch" not in sys.modules and not gpu_is_possible():
        return True
    return chosen_device(device).type == "cpu"


def gpu_is_possible() -> bool:
    """Whether a GPU's driver is there and its GPUs are not hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    if sys.platform == "win32":
        return os.path.exists(os.path.join(os.environ.get("SYSTEMROOT", "C:/Windows"), WINDOWS_DRIVER))
    return any(glob.glob(pattern) for pattern in DRIVERS)


def chosen_device(device: str) -> "torch.device":
    """Return the device for "auto", "cpu", "cuda" or "cuda:i".

    Raises:
        EvaltoolError: a GPU was asked for and there is none.
    """
    import torch  # here: it takes seconds, and not every job needs it

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = torch.device("meta")
    if chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"device={device!r}, expected auto, cpu, cuda or cuda:i")
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= count:
            built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
            raise EvaltoolError(
                f"there is no such GPU\n  --device {device}: {count} CUDA devices found, torch {torch.__version__} is "
                f"built with {built}\n  Use --device cpu, or install a driver and a torch build that see the GPU, for "
                "ONNX onnxruntime-gpu as well; `evaltool doctor` shows what is there."
            )
    return chosen


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out; most of them are a plain RuntimeError."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    )
