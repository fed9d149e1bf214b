"""The run of a real model's predictions: every row and column against the oracle, in every reader; the summary's
numbers against scikit-learn's."""

import json

import duckdb
import mpmath as mp
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from sklearn import metrics

from tests import oracle


@pytest.fixture(scope="module")
def truth(digits):
    """The columns as they should be."""
    probs = [oracle.softmax(row) for row in digits.preds]
    rows = list(zip(probs, digits.labels.tolist(), strict=True))
    return {
        "ce": [oracle.minus_log(p, t) for p, t in rows],
        "focal": [oracle.focal(p, t, 2.0) for p, t in rows],
        "dice": [oracle.dice(p, [int(j == t) for j in range(10)]) for p, t in rows],
        "p_label": [p[t] for p, t in rows],
        "p_pred": [max(p) for p in probs],
        "margin": [oracle.margin(p, t) for p, t in rows],
        "entropy": [oracle.entropy(p) for p in probs],
    }


READERS = {
    "pyarrow": lambda path: pyarrow.parquet.read_table(path).to_pandas(),
    "pandas": pd.read_parquet,
    "duckdb": lambda path: duckdb.sql(f"select * from '{path}'").df(),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_row_and_column(digits, truth, reader):
    table = READERS[reader](str(digits.run / "scores.parquet"))
    n = len(digits.labels)
    losses = ["ce", "focal", "dice"]
    assert list(table.columns) == [
        *("index", "label", "pred", "status"),
        *losses,
        *("p_label", "p_pred", "margin", "entropy"),
    ]
    assert table["index"].tolist() == list(range(n))
    assert table["label"].tolist() == digits.labels.tolist()
    assert table["pred"].tolist() == digits.preds.argmax(1).tolist()
    assert set(table["status"]) == {"ok"}
    for name, expected in truth.items():
        assert table[name].dtype == np.float32
        assert oracle.worst_error(table[name], expected) < 1e-5, name


def test_summary_equals_scikit_learn(digits, truth):
    summary = json.loads((digits.run / "summary.json").read_text())
    y, pred = digits.labels, digits.preds.argmax(1)
    z = digits.preds.astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert summary["losses"]["ce"]["mean"] == pytest.approx(metrics.log_loss(y, p), rel=1e-6)
    assert summary["accuracy"] == pytest.approx(metrics.accuracy_score(y, pred), rel=1e-12)
    assert summary["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, pred), rel=1e-12)
    for name, function in (
        ("recall", metrics.recall_score),
        ("precision", metrics.precision_score),
        ("f1", metrics.f1_score),
    ):
        got = [row[name] for row in summary["classes"]]
        assert got == pytest.approx(function(y, pred, average=None, zero_division=0), rel=1e-12), name
    assert [row["count"] for row in summary["classes"]] == np.bincount(y, minlength=10).tolist()


def test_summary_of_the_losses(digits, truth):
    summary = json.loads((digits.run / "summary.json").read_text())
    table = pyarrow.parquet.read_table(digits.run / "scores.parquet")
    for name, stats in summary["losses"].items():
        values = table[name].to_numpy().astype(np.float64)
        assert stats["sum"] == pytest.approx(float(mp.fsum(truth[name])), rel=1e-6)
        assert stats["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert stats["max"] == values.max()
        quantiles = np.quantile(values, [0.5, 0.9, 0.99])
        assert [stats["p50"], stats["p90"], stats["p99"]] == pytest.approx(quantiles, rel=1e-12)
        by_class = np.bincount(digits.labels, weights=values, minlength=10)
        shares = [row["loss_share"][name] for row in summary["classes"]]
        means = [row["mean_loss"][name] for row in summary["classes"]]
        assert shares == pytest.approx(by_class / values.sum(), rel=1e-9)
        assert means == pytest.approx(by_class / np.bincount(digits.labels), rel=1e-9)
        assert sum(shares) == pytest.approx(1)


def test_summary_counts(digits):
    summary = json.loads((digits.run / "summary.json").read_text())
    n = len(digits.labels)
    expected = {
        "task": "multiclass",
        "preds_are": "logits",
        "n_samples": n,
        "n_scored": n,
        **dict.fromkeys(("n_ignored", "n_bad", "n_nonfinite", "n_bad_label", "n_bad_preds"), 0),
        **dict.fromkeys(("n_clamped", "n_infinite", "n_failed"), 0),
    }
    assert {key: summary[key] for key in expected} == expected
    hardest = [row["index"] for row in summary["hardest"]]
    ce = pyarrow.parquet.read_table(digits.run / "scores.parquet")["ce"].to_numpy()
    assert hardest == np.argsort(-ce, kind="stable")[:10].tolist()


def test_hard_samples_are_flipped_labels(digits):
    """The tool does what it is for: the ten hardest of 1,019 are among the 51 labels that the example flipped."""
    summary = json.loads((digits.run / "summary.json").read_text())
    flipped = np.flatnonzero(digits.labels != digits.true_labels)
    assert {row["index"] for row in summary["hardest"]} <= set(flipped.tolist())


def test_run_json_says_where_the_run_comes_from(digits):
    run = json.loads((digits.run / "run.json").read_text())
    assert run["status"] == "done"
    assert run["decisions"]["task"] == "multiclass"
    assert run["engine"] == "fused"
    assert {"evaltool", "torch", "numba", "numpy", "pyarrow", "python"} == set(run["versions"])
    preds, labels = run["inputs"]
    assert preds["path"] == str(digits.folder / "preds.npy")
    assert preds["size"] == (digits.folder / "preds.npy").stat().st_size
    assert preds["digest"].startswith("sha256-blocks:")
    assert labels["shape"] == [len(digits.labels)]
    assert run["losses"][1] == {
        "column": "focal",
        "loss": "focal",
        "parameters": {"gamma": 2.0, "alpha": None},
        "formula": "alpha_t (1 - p_t)^gamma (-log p_t); gamma = 2.0, alpha = None",
    }


def test_parquet_says_what_its_columns_mean(digits):
    schema = pyarrow.parquet.read_schema(digits.run / "scores.parquet")
    formulas = json.loads(schema.metadata[b"evaltool.formulas"])
    assert set(formulas) == set(schema.names)
    assert formulas["ce"].startswith("-w_t log p_t")
    column = pyarrow.parquet.ParquetFile(digits.run / "scores.parquet").metadata.row_group(0).column(4)
    assert column.compression == "ZSTD"
    assert "BYTE_STREAM_SPLIT" in column.encodings
