"""How time and memory of ``evaltool.score`` grow with samples, classes and threads, as a chart."""

import shutil
import sys
from pathlib import Path
from typing import Any

from .alone import measure
from .ours import OURS
from .problems import multiclass, write_problem

FUNCTION = next(one for one in OURS if one.name == "evaltool.score()")
CLASSES = 1000
SHARES = (1 / 64, 1 / 16, 1 / 4, 1)  # of the MB, along N
MANY = (2, 10, 100, 1000, 10_000, 100_000)  # classes, each with all MB


def points(megabytes: float, threads: int) -> list[tuple[str, int, float, int, int]]:
    """Return what is varied, its value, the MB of logits, the classes and the threads of every point."""
    found: list[tuple[str, int, float, int, int]] = []
    for share in SHARES:
        size = share * megabytes
        found.append(("N", multiclass(CLASSES).rows(size), size, CLASSES, threads))
    found += [("C", classes, megabytes, classes, threads) for classes in MANY]
    found += [("threads", some, megabytes, CLASSES, some) for some in range(1, threads + 1)]
    return found


def growth(folder: Path, megabytes: float, threads: int, rounds: int, engine: str) -> list[dict[str, Any]]:
    """Return seconds and MB of every point, each in a process of its own."""
    rows = []
    for along, value, size, classes, used in points(megabytes, threads):
        sys.stderr.write(f"growth: {along} = {value}\n")
        shape, place = multiclass(classes), folder / "growth"
        try:
            write_problem(place / "tiny", shape, 2)
            problem = write_problem(place, shape, shape.rows(size))
            found = measure(FUNCTION, place, threads=used, batch=None, engine=engine, runs=rounds)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        rows.append(
            {
                "along": along,
                "value": value,
                "samples": problem.size,
                "classes": classes,
                "threads": used,
                "megabytes": problem.bytes / 1e6,
                "fastest_seconds": min(found["seconds"]),
                "memory_mb": found["memory_mb"],
            }
        )
    return rows


def draw(rows: list[dict[str, Any]], megabytes: float, file: Path) -> None:
    """Write the chart as SVG or PNG: three pairs of time and memory."""
    import altair as alt
    import pyarrow as pa

    size = f"{megabytes:,.0f} MB of logits"
    titles = {
        "N": f"N samples of C = {CLASSES}",
        "C": f"C classes, {size}",
        "threads": f"threads, C = {CLASSES}, {size}",
    }
    pairs = []
    for along, title in titles.items():
        some = [row for row in rows if row["along"] == along]
        scale = alt.Scale(type="linear" if along == "threads" else "log")
        axis = alt.Axis(values=sorted({row["value"] for row in some}), format="~s", labelOverlap=True)
        base = alt.Chart(pa.Table.from_pylist(some)).encode(x=alt.X("value:Q", title=title, scale=scale, axis=axis))
        tall = base.properties(width=210, height=130)
        times = tall.mark_line(point=True).encode(y=alt.Y("fastest_seconds:Q", title="seconds", scale=_from_zero()))
        held = tall.mark_line(point=True, color="#b5651d").encode(
            y=alt.Y("memory_mb:Q", title="MB above the imports", scale=_from_zero())
        )
        pairs.append(alt.vconcat(times, held))
    chart = alt.hconcat(*pairs, background="white")
    chart.save(str(file))


def _from_zero() -> Any:
    import altair as alt

    return alt.Scale(zero=True)
