"""The tests of the kernels without a GPU: in Triton's interpreter, in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(
    torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1", reason="they run in this process"
)
def test_the_kernels_tests_pass_in_tritons_interpreter():
    pytest.importorskip("triton", reason="needs Triton (the extra dev, on Linux x86-64)")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not gpu", str(FOLDER)],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(FOLDER.parent.parent)},
        cwd=FOLDER.parent.parent,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) > 50
