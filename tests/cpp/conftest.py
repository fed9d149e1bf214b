"""examples/cpp, built once, and modules for its programs."""

import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import torch

from evaltool.losses import BinaryCrossEntropyLoss, DiceLoss, FocalLoss
from evaltool.numerics.scripting import scripted
from tests.conftest import ROOT
from tests.cpp.cases import METADATA

HEADERS = os.environ.get("ORT_INCLUDE_DIR")  # CMake looks in the system's folders too


def configure(folder, *options):
    """Return what CMake said of examples/cpp, to be built in a folder."""
    command = ["cmake", "-S", ROOT / "examples/cpp", "-B", folder, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of the programs, and what CMake said."""
    if not (shutil.which("cmake") and shutil.which("c++")):
        pytest.skip("examples/cpp needs cmake and a C++ compiler")
    folder = tmp_path_factory.mktemp("cpp")
    headers = [f"-DORT_INCLUDE_DIR={HEADERS}"] if HEADERS else []
    done = configure(folder, f"-DCMAKE_PREFIX_PATH={torch.utils.cmake_prefix_path}", *headers)
    assert done.returncode == 0, done.stderr
    make = subprocess.run(["cmake", "--build", folder, "--parallel", "2"], capture_output=True, text=True, timeout=600)
    assert make.returncode == 0, make.stdout + make.stderr
    assert "warning:" not in make.stderr
    return SimpleNamespace(folder=folder, said=done.stdout)


@pytest.fixture(scope="session")
def modules(tmp_path_factory):
    """A folder with focal where --models looks for it, other losses, and modules that are no losses."""
    folder = tmp_path_factory.mktemp("modules")
    focal = folder / "models/torchscript/focal/1/model.pt"
    focal.parent.mkdir(parents=True)
    scripted(FocalLoss()).save(str(focal), _extra_files={"metadata.json": json.dumps(METADATA)})
    others = {
        "dice": DiceLoss(),
        "bce": BinaryCrossEntropyLoss(),
        "mean": FocalLoss(reduction="mean"),
        "weighted": FocalLoss(alpha=[1.0, 2.0]),
        "pair": Pair(),
        "network": torch.nn.Linear(3, 3),
    }
    for name, module in others.items():
        scripted(module).save(str(folder / f"{name}.pt"))
    return folder


class Pair(torch.nn.Module):
    def forward(self, preds: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return preds, labels


@pytest.fixture
def run(built, saved, tmp_path):
    """Runs a program in the empty directory; arrays are saved there first."""

    def run(program, *arguments, preds=None, labels=None):
        if preds is not None:
            saved(preds, labels)
        return subprocess.run(
            [built.folder / program, "preds.npy", "labels.npy", *map(str, arguments)],
            cwd=tmp_path,
            env={key: value for key, value in os.environ.items() if key != "ORT_LIBRARY"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
