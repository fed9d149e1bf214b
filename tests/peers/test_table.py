"""The README's table is what scripts/peers measures."""

import re
from pathlib import Path

import pytest

from tests.peers import libraries
from tests.peers.cases import BUILDERS
from tests.peers.table import COLUMNS, label

NUMBER = re.compile(r"\b\d[\d.]*(?:e-\d+)?")
FACTORS = {"worst error, confident": 3, "float16 Dice (float64)": 1.1}  # rounding depends on the CPU's exp and log


@pytest.fixture(scope="module")
def readme() -> dict[str, dict[str, str]]:
    """The cells of the README's table by row and column."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    table = text[text.index("|  | one value for each |") :].partition("\n\n")[0]
    header, _, *rows = ([cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines())
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


@pytest.mark.parametrize("library", BUILDERS)
@pytest.mark.parametrize(
    "column", [pytest.param(name, marks=pytest.mark.slow if "ONNX" in name else ()) for name in COLUMNS]
)
def test_a_cell_is_what_is_measured(readme, column, library):
    if library != "evaltool" and not libraries.installed(library):
        pytest.skip(f"{libraries.package(library)} is not installed; the extra peers has it: scripts/setup dev,peers")
    if "ONNX" in column:
        pytest.importorskip("onnxruntime", reason="not installed; the extra peers has it: scripts/setup dev,peers")
        pytest.importorskip("onnxscript", reason="not installed; the extra peers has it: scripts/setup dev,peers")
    written, measured = readme[label(library)][column], COLUMNS[column](library)
    if column not in FACTORS:
        assert written == measured
        return
    assert NUMBER.sub("#", written) == NUMBER.sub("#", measured)
    for one, other in zip(NUMBER.findall(written), NUMBER.findall(measured), strict=True):
        assert 1 / FACTORS[column] <= float(one) / float(other) <= FACTORS[column], (written, measured)
