"""What a loss takes beside its predictions, and that no array outgrows them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .test_contract import CASES, SOFTMAX, sample


class Largest(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(tensor, torch.Tensor):
                stored = tensor.untyped_storage().nbytes() // tensor.element_size()  # an expanded view takes nothing
                self.numel = max(self.numel, min(stored, tensor.numel()))
        return made


@pytest.mark.parametrize("space", [(), (6, 7)], ids=["flat", "image"])
@pytest.mark.parametrize("name", CASES)
def test_no_array_has_more_elements_than_the_predictions(name, space):
    preds, labels = sample(CASES[name], 5, space)
    loss = CASES[name].build()
    with Largest() as largest:
        loss(preds, labels)
    assert 0 < largest.numel <= preds.numel()


MEASURE = """
import json, sys, torch
from tests.losses.test_contract import CASES, SOFTMAX
def kilobytes(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))
taken = {}
for name, case in CASES.items():
    softmax = case.kind == SOFTMAX
    preds = torch.randn(2, 4, 700, 700) if softmax else torch.randn(8, 700, 700)
    labels = torch.randint(0, 4 if softmax else 2, (2, 700, 700) if softmax else (8, 700, 700))
    labels = torch.randn_like(preds) if case.kind == "real" else labels
    loss = case.build()
    with torch.inference_mode():
        loss(preds[..., :8, :8].contiguous(), labels[..., :8, :8].contiguous())
        before = kilobytes("VmRSS")
        open("/proc/self/clear_refs", "w").write("5")  # starts VmHWM, the peak, anew
        loss(preds, labels)
    taken[name] = (kilobytes("VmHWM") - before) * 1024 / (preds.numel() * 4)
print(json.dumps(taken))
"""


def stated(docstring: str, *, softmax: bool) -> int:
    """Return the factor that a docstring states."""
    text = " ".join(docstring.split())
    factors = re.search(r"Memory:[^.]*?(\d+) times the preds(?: of a softmax, (\d+) times those of)?", text)
    return int(factors[1] if softmax or factors[2] is None else factors[2])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_is_what_the_docstrings_state():
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}  # what is freed counts as freed
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    for name, factor in json.loads(done.stdout).items():
        case = CASES[name]
        told = stated(case.loss.__doc__, softmax=case.kind == SOFTMAX)
        if "smoothed" in name:
            told = 8
        assert factor <= told + 0.5, (name, factor, told)
        assert factor >= told - 2, (name, factor, told)
