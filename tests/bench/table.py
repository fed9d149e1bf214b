"""The measurements as Markdown; ``python -m tests.bench.table FILE`` prints those of a bench's JSON."""

import json
import sys
from pathlib import Path
from typing import Any

HEADER = ("", "GB/s", "lowest to highest", "of the limit", "kernel faster", "its columns alone", "memory", "computes")


def machine_line(machine: dict[str, Any]) -> str:
    """Return what it was measured on, as a sentence."""
    versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items() if name != "evaltool")
    place = f"{machine['gpu']}, " if "gpu" in machine else ""
    clock = "; by CPU time over threads" if machine["clock"] == "cpu" else ""
    load = "" if machine["load"] is None else f", load {machine['load']:.1f} at the start"
    return (
        f"Measured {machine['date']} on {place}{machine['processor']}, {machine['threads']} threads of "
        f"{machine['cpus']} CPUs{load}{clock}; Python {machine['python']}, {versions}.\n"
    )


def table(shapes: list[dict[str, Any]]) -> str:
    """Return a table of all shapes; those skipped stand below it, with the reason."""
    lines = [_line(HEADER), "|---" * len(HEADER) + "|\n"]
    skipped: dict[str, list[str]] = {}
    for shape in shapes:
        lines.append(_line([f"**{title(shape)}**", *[""] * (len(HEADER) - 1)]))
        lines += [_line(_limit(name, found)) for name, found in shape["limits"].items()]
        for row in shape["rows"]:
            if "skipped" in row:
                skipped.setdefault(f"{row['name']}: {row['skipped']}", []).append(shape["name"])
            else:
                lines.append(_line(_cells(row, shape)))
    notes = [f"- {reason} ({', '.join(names)})\n" for reason, names in skipped.items()]
    return "".join([*lines, *(["\nNot measured:\n\n", *notes] if notes else [])])


def title(shape: dict[str, Any]) -> str:
    """Return the shape and how much was read."""
    return f"{shape['name']}, N = {shape['shape'][0]:,} ({shape['megabytes']:,.0f} MB)"


def _limit(name: str, found: dict[str, Any]) -> list[str]:
    return [f"limit: {name}", f"{found['gb_per_s']:.1f}", "", "", "", "", "", "as fast as the machine can"]


def _cells(row: dict[str, Any], shape: dict[str, Any]) -> list[str]:
    memory = row.get("memory_mb")
    share = shape["shape"][0] / row["samples"]
    return [
        row["name"],
        _digits(row["gb_per_s"]),
        f"{_digits(row['gb_per_s_low'])} to {_digits(row['gb_per_s_high'])}",
        f"{row['of_limit']:.2f}" if row["of_limit"] >= 0.1 else f"{row['of_limit']:.3f}",
        _times(row.get("kernel_is_faster")),
        _times(row.get("columns_are_faster")),
        "" if memory is None else f"{memory:,.0f} MB",
        row["computes"] + (f" (of 1/{share:.0f} of the samples)" if share > 1.5 else ""),
    ]


def _times(ratio: float | None) -> str:
    return "" if ratio is None or ratio == 1 else f"{_digits(ratio)} x"


def _digits(value: float) -> str:
    return (
        f"{value:.0f}"
        if value >= 20
        else f"{value:.1f}"
        if value >= 2
        else f"{value:.2f}"
        if value >= 0.1
        else f"{value:.3f}"
    )


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |\n"


def page(document: dict[str, Any]) -> str:
    """Return what a bench prints."""
    return f"{machine_line(document['machine'])}\n{table(document['shapes'])}"


if __name__ == "__main__":
    sys.stdout.write(page(json.loads(Path(sys.argv[1]).read_text())))
