"""A tiny bench runs through; its JSON and its table hold what they say."""

import json
import math
import subprocess
import sys

import pytest
import torch

from . import growth
from .__main__ import chosen_shapes, main
from .alone import measure
from .contest import BATCHES, Ready
from .lists import contestants
from .problems import SHAPES, Shape, open_problem, write_problem
from .rounds import AT_LEAST, Times, Watch, best_batch, interleaved, timed

NUMBERS = ("gb_per_s", "gb_per_s_low", "gb_per_s_high", "of_limit", "kernel_is_faster", "median_seconds")


def bench(tmp_path, *words):
    """Return the finished process of a bench, and its JSON."""
    file = tmp_path / "bench.json"
    whole = [sys.executable, "-m", "tests.bench", "--json", str(file), "--folder", str(tmp_path), *words]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=300)
    return done, json.loads(file.read_text()) if file.exists() else None


@pytest.mark.slow
def test_a_tiny_bench(tmp_path):
    words = ["--rows", "300", "--rounds", "2", "--only", "N x 10", "--beside", "whole array", "--beside", "Liger"]
    done, document = bench(tmp_path, *words, "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert document["format"] == 1
    assert document["machine"]["threads"] == 1
    (shape,) = document["shapes"]
    assert shape["shape"] == [300, 10]
    assert shape["megabytes"] == pytest.approx(0.012)
    assert shape["limits"]["read"]["gb_per_s"] > 0
    names = [row["name"] for row in shape["rows"]]
    assert names[:3] == ["evaltool score", "evaltool.score()", "evaltool kernel"]
    assert names[4:] == ["PyTorch eager, whole array", "Liger-Kernel, best batch"]
    assert "- Liger-Kernel, best batch: needs a GPU (N x 10)" in done.stdout
    for row in shape["rows"]:
        assert row["computes"]
        if "skipped" in row:
            assert not row["evaltool"]
            continue
        assert len(row["seconds"]) == 2
        assert all(math.isfinite(row[name]) and row[name] > 0 for name in NUMBERS)
        assert row["gb_per_s_low"] <= row["gb_per_s"] <= row["gb_per_s_high"]
        assert row["memory_mb"] is None or row["memory_mb"] >= 0
        assert f"| {row['name']} | " in done.stdout
    assert "**N x 10, N = 300 (0 MB)**" in done.stdout
    assert not [path for path in tmp_path.iterdir() if path.name != "bench.json"]


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("tests.bench.__main__.limit_threads", lambda *_: None)
    with pytest.raises(SystemExit, match="--gpu needs a CUDA device"):
        main(["--gpu", "--threads", "1"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "N x 11"], "no shape has N x 11 in its name: N x 10, N x 100"),
        (["--threads", "0.5"], "invalid int value"),
        (["--threads", "4000"], "--threads 4000: there are"),
        (["--rounds", "0"], "--rounds is at least 1"),
        (["--rows", "1"], "--rows at least 2"),
        (["--growth", "chart.pdf"], "ends with .svg or .png"),
    ],
)
def test_a_wrong_option_is_refused(capsys, words, says):
    with pytest.raises(SystemExit):
        main(words)
    assert says in capsys.readouterr().err


def test_shapes_by_name():
    assert [shape.name for shape in chosen_shapes(["n x 10"])] == ["N x 10"]
    assert [shape.name for shape in chosen_shapes(["512"])] == ["N x 2 x 512 x 512", "N x 21 x 512 x 512"]
    assert chosen_shapes([]) == list(SHAPES)


def test_rows_fill_the_megabytes():
    assert Shape("", "multiclass", 1000).rows(4) == 1000
    assert Shape("", "segmentation", 21, (512, 512)).rows(1) == 2


def test_a_problem_is_the_same_streamed_and_in_memory(tmp_path):
    write_problem(tmp_path, Shape("masks", "segmentation", 5, (20, 33)), 9)
    whole, streamed = open_problem(tmp_path), open_problem(tmp_path, streamed=True)
    assert whole.preds.shape == (9, 5, 20, 33)
    assert whole.labels.shape == (9, 20, 33)
    batches = list(streamed.batches(2 * 5 * 20 * 33))
    assert [len(preds) for preds, _ in batches] == [2, 2, 2, 2, 1]
    for i, part in enumerate((whole.preds, whole.labels)):
        assert torch.equal(part, torch.cat([batch[i] for batch in batches]))
    assert len(open_problem(tmp_path, share=4).preds) == 3


def test_predictions_are_mostly_right(tmp_path):
    problem = write_problem(tmp_path, Shape("", "multiclass", 100), 2000)
    assert 0.7 < float((problem.preds.argmax(1) == problem.labels).float().mean()) < 0.99


def test_contestants_are_told_apart_by_name_and_task():
    for device in ("cpu", "cuda"):
        keys = [(one.name, task) for one in contestants(device) for task in one.tasks]
        assert len(keys) == len(set(keys))


def test_short_runs_are_repeated_and_the_fastest_batch_is_taken():
    calls = []
    assert timed(lambda: calls.append(1), Watch()) < AT_LEAST / 10
    assert len(calls) > 10

    def slow_unless(numbers):
        import time

        time.sleep(0.001 if numbers == BATCHES[2] else 0.01)

    ready = Ready(slow_unless, BATCHES)
    assert best_batch(ready, Watch()) == BATCHES[2]
    times = interleaved({"a": ready, "b": Ready(lambda _: None)}, 2, Watch())
    assert len(times["a"].seconds) == 2
    assert times["a"].middle > times["b"].middle
    assert Times((3.0, 1.0, 2.0), None).middle == 2.0


def test_cpu_time_leaves_waiting_out():
    import time

    before = Watch("cpu", 2).now(), Watch().now()
    time.sleep(0.2)
    assert Watch("cpu", 2).now() - before[0] < 0.1
    assert Watch().now() - before[1] >= 0.2
    before = Watch("cpu", 1).now(), Watch("cpu", 2).now()
    while Watch("cpu", 1).now() < before[0] + 0.1:
        pass
    assert Watch("cpu", 2).now() - before[1] == pytest.approx(0.05, rel=0.2)


@pytest.mark.slow
def test_memory_is_that_of_what_runs(tmp_path):
    """PyTorch on the whole array holds it and several times more; evaltool does not, whatever its size."""
    shape = Shape("", "multiclass", 1000)
    write_problem(tmp_path / "tiny", shape, 2)
    write_problem(tmp_path, shape, 20_000)
    by_name = {one.name: one for one in contestants("cpu")}
    options = {"threads": 1, "batch": None, "runs": 1}
    whole = measure(by_name["PyTorch eager, whole array"], tmp_path, **options)
    if whole["memory_mb"] is None:
        pytest.skip("the system does not tell the peak")
    assert whole["memory_mb"] > 160
    assert len(whole["seconds"]) == 1
    assert measure(by_name["evaltool.score()"], tmp_path, **options)["memory_mb"] < whole["memory_mb"]


def test_growth_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "MANY", (2, 10))
    monkeypatch.setattr(growth, "measure", lambda *_, **asked: {"memory_mb": 5.0, "seconds": [asked["threads"]] * 3})
    rows = growth.growth(tmp_path, 0.1, 2, 3, "auto")
    assert [(row["along"], row["value"]) for row in rows] == [
        *(("N", n) for n in (2, 2, 6, 25)), ("C", 2), ("C", 10), ("threads", 1), ("threads", 2)
    ]  # fmt: skip
    growth.draw(rows, 0.1, tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    assert "threads, C = 1000" in drawn
    assert "MB above the imports" in drawn
