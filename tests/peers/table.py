"""Prints the README's table of evaltool beside other libraries, measured now: scripts/peers."""

import datetime
import sys
from collections.abc import Callable

import torch

from tests.peers import libraries, measure
from tests.peers.cases import BUILDERS

COLUMNS: dict[str, Callable[[str], str]] = {
    "one value for each": measure.per_sample_value,
    "a class at -inf": measure.masked_classes,
    "gradient, gamma 0.5": measure.small_gamma_gradient,
    "worst error, confident": measure.confident_error,
    "float16 Dice (float64)": measure.half_precision,
    "scripts": measure.script,
    "exports to ONNX": measure.onnx,
}


def label(library: str) -> str:
    """Return the library with its version, as the first cell of its row."""
    return library if library == "evaltool" else f"{library} {libraries.installed_version(library)}"


def line(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Print the table row by row; the ONNX exports take a minute or two."""
    import onnxruntime

    sys.stdout.write(
        f"Measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d} on {torch.get_num_threads()} CPU cores, "
        f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}.\n\n"
    )
    sys.stdout.write(line(["", *COLUMNS]))
    sys.stdout.write("|---" * (1 + len(COLUMNS)) + "|\n")
    for library in BUILDERS:
        sys.stdout.write(line([label(library), *(cell(library) for cell in COLUMNS.values())]))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
