"""Measures evaltool's speed and memory beside the machine's limits and other libraries: scripts/bench."""

import argparse
import json
import os
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from .alone import limit_threads
from .problems import SHAPES, Shape

FORMAT = 1


def parsed(words: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--size", type=float, metavar="MB", help="of logits in each shape [256; with --gpu 2048]")
    parser.add_argument("--rows", type=int, metavar="N", help="samples in each shape, in place of --size")
    parser.add_argument("--rounds", type=int, default=7, help="times that each is measured [7]")
    parser.add_argument(
        "--only", action="append", default=[], metavar="SHAPE", help="part of a shape's name; repeatable"
    )
    parser.add_argument(
        "--beside", action="append", default=[], metavar="NAME", help="part of a name: evaltool and this"
    )
    parser.add_argument("--threads", type=int, help="CPUs that all may use [those there are]")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: CPU time over threads, where cores are busy [wall]",
    )
    parser.add_argument("--engine", default="auto", help="evaltool's [auto]")
    parser.add_argument("--gpu", action="store_true", help="measure on the GPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number")
    parser.add_argument("--growth", type=Path, metavar="FILE", help="draw how time and memory grow (.svg, .png)")
    parser.add_argument("--folder", type=Path, help="where the arrays are put for a while")
    asked = parser.parse_args(words)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked.threads = cpus if asked.threads is None else asked.threads
    asked.size = asked.size if asked.size is not None else 2048 if asked.gpu else 256
    if not 1 <= asked.threads <= cpus:
        parser.error(f"--threads {asked.threads}: there are {cpus} CPUs")
    if asked.gpu and asked.clock == "cpu":
        parser.error("--clock cpu says nothing of a GPU")
    if asked.rounds < 1 or (asked.rows is not None and asked.rows < 2) or asked.size <= 0:
        parser.error("--rounds is at least 1, --rows at least 2, --size above 0")
    asked.shapes = chosen_shapes(asked.only)
    if not asked.shapes:
        parser.error(f"no shape has {' or '.join(asked.only)} in its name: {', '.join(shape.name for shape in SHAPES)}")
    if asked.growth and asked.growth.suffix not in (".svg", ".png"):
        parser.error(f"--growth {asked.growth}: expected a name that ends with .svg or .png")
    return asked


def chosen_shapes(names: list[str]) -> list[Shape]:
    """Return the shapes of these names, or that have them in theirs; all if none is given."""
    found: list[Shape] = []
    for name in names:
        same = [shape for shape in SHAPES if shape.name.lower() == name.lower()]
        found += same or [shape for shape in SHAPES if name.lower() in shape.name.lower()]
    return [shape for shape in SHAPES if shape in found or not names]


def main(words: list[str] | None = None) -> None:
    """Measure, print the table, write JSON and chart."""
    asked = parsed(words)
    limit_threads(asked.threads, asked.clock)
    warnings.simplefilter("ignore")  # of peers about themselves
    # here: PyTorch reads the number of threads when it is imported
    import torch

    from .growth import draw, growth
    from .machine import machine
    from .measure import Asked, measure_shape
    from .table import page

    torch.set_num_threads(asked.threads)
    if asked.gpu and not torch.cuda.is_available():
        sys.exit("bench: --gpu needs a CUDA device, and PyTorch sees none; `evaltool doctor` says why")
    device = "cuda" if asked.gpu else "cpu"
    document: dict[str, Any] = {"format": FORMAT, "machine": machine(asked.threads, device, asked.clock), "shapes": []}
    wanted = Asked(
        asked.threads, asked.rounds, device, not asked.no_memory, tuple(asked.beside), asked.engine, asked.clock
    )
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="evaltool-bench-") as folder:
        for shape in asked.shapes:
            rows = asked.rows or shape.rows(asked.size)
            document["shapes"].append(measure_shape(Path(folder), shape, rows, wanted))
            _write(document, asked.json)  # a shape takes minutes: what is measured is kept
        if asked.growth:
            document["growth"] = growth(Path(folder), asked.size, asked.threads, asked.rounds, asked.engine)
            draw(document["growth"], asked.size, asked.growth)
            _write(document, asked.json)
    sys.stdout.write(page(document))


def _write(document: dict[str, Any], file: Path | None) -> None:
    if file:
        file.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the arrays go when it is ended
    main()
