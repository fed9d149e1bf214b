"""What tests share: seeded numbers, golden values, the digits, and the command line."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import settings

from evaltool.cli import main

# the same examples at every run, and no limit on a time that another job on the cores decides
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile("seeded")

ROOT = Path(__file__).parent.parent
# no traffic of the browser's own, which would look like the page's
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Run one headless Chromium: playwright takes no second driver in a process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium on the PATH (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=program, args=list(QUIET))
        yield launched
        launched.close()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(20240229)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return json.loads((ROOT / "tests/golden/seed_values.json").read_text())


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The demo's out-of-fold predictions of a real network, and the run that evaltool score writes of them."""
    import sys

    sys.path.insert(0, str(ROOT / "examples"))
    import digits as example

    folder = tmp_path_factory.mktemp("digits")
    example.main(folder)
    result = CliRunner().invoke(
        main, ["score", str(folder / "preds.npy"), str(folder / "labels.npy"), "-o", str(folder / "digits.run")]
    )
    assert result.exit_code == 0, result.output
    return SimpleNamespace(
        folder=folder,
        run=folder / "digits.run",
        preds=np.load(folder / "preds.npy"),
        labels=np.load(folder / "labels.npy"),
        true_labels=np.load(folder / "true_labels.npy"),
    )


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs evaltool in an empty directory, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Saves predictions and labels as preds.npy and labels.npy in the empty directory."""

    def save(preds: Any, labels: Any) -> tuple[str, str]:
        np.save(tmp_path / "preds.npy", preds)
        np.save(tmp_path / "labels.npy", labels)
        return "preds.npy", "labels.npy"

    return save
