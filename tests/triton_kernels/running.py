"""Where the kernels' tests run: on a GPU, else in Triton's interpreter, chosen before Triton is imported.

``test_interpreted.py`` runs them there, in a process of its own.
"""

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu")

kernels_run = [
    pytest.mark.skipif(DEVICE.type == "cpu" and not INTERPRETED, reason="test_interpreted.py runs it"),
    # NumPy, in the interpreter, computes what tl.where does not choose
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def assert_near(got, expected, what, bound=1e-5, steps=4):
    """Both float: every element within ``bound`` of itself, or ``steps`` of the smallest number off, or as infinite."""
    got, expected = got.double().cpu(), expected.double().cpu()
    error = (got - expected).abs() / expected.abs()
    error[(got == expected) | ((got - expected).abs() <= steps * 2.0**-149)] = 0
    worst = error.max() if error.numel() else torch.zeros(())
    assert worst <= bound, f"{what}: {worst:.2e} at {int(error.argmax())}: {got.flatten()[error.argmax()]} for " + str(
        expected.flatten()[error.argmax()].item()
    )


# a Dice loss that is 0 is the smallest normal number in PyTorch, where a probability of 0 has that floor
FLOOR = 2**23 + 4


def readable(preds):
    """Return predictions without what the interpreter reads wrongly: it rounds subnormal bfloat16 numbers."""
    return torch.where(preds.abs() < 2.0**-126, 0, preds) if preds.dtype == torch.bfloat16 else preds
