"""evaltool.score from arrays and tensors: every task, dtype, status and option."""

import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from sklearn import metrics
from torch.nn import functional as F

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.losses import CrossEntropyLoss, FocalLoss

from .problems import TASKS, problem, unprobed

ENGINES = ["torch", "torchscript"]


EXPECTED_COLUMNS = {
    "multiclass": "index label pred status ce focal dice p_label p_pred margin entropy",
    "binary": "index label pred status bce binary_focal dice p_label p_pred margin entropy",
    "multilabel": (
        "index n_wrong worst_class worst_class_loss status bce binary_focal dice p_label p_pred margin entropy"
    ),
    "segmentation": "index n_valid accuracy iou worst_class status ce focal dice p_label p_pred margin entropy",
    "foreground": "index n_valid accuracy iou worst_class status ce focal dice p_label p_pred margin entropy",
    "regression": "index status l1 mse",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", TASKS)
def test_columns_of_a_task(task, engine):
    scores = evaltool.score(*problem(task), engine=engine)
    assert list(scores.columns) == EXPECTED_COLUMNS[task].split()
    assert scores.manifest["engine"] == engine
    assert set(scores["status"]) == {"ok"}
    assert scores.summary["n_scored"] == len(scores) == 60


@pytest.mark.parametrize("task", TASKS)
def test_engines_agree_bit_for_bit(task):
    first, second = (evaltool.score(*problem(task), engine=engine) for engine in ENGINES)
    assert first.table.equals(second.table)


@pytest.mark.parametrize("task", TASKS)
def test_block_size_changes_no_bit(task):
    whole = evaltool.score(*problem(task))
    for size in (1, 7, 59):
        blocks = evaltool.score(*problem(task), batch_size=size)
        assert blocks.table.combine_chunks().equals(whole.table.combine_chunks())
        assert blocks.summary == whole.summary


def test_losses_equal_pytorchs():
    preds, labels = problem("multiclass")
    scores = evaltool.score(preds, labels)
    expected = F.cross_entropy(torch.from_numpy(preds).double(), torch.from_numpy(labels), reduction="none")
    np.testing.assert_allclose(scores["ce"], expected, rtol=1e-5)
    preds, labels = problem("foreground")
    expected = F.binary_cross_entropy_with_logits(
        torch.from_numpy(preds[:, 0]).double(), torch.from_numpy(labels).double(), reduction="none"
    ).mean((1, 2))
    np.testing.assert_allclose(evaltool.score(preds, labels)["ce"], expected, rtol=1e-5)
    preds, labels = problem("regression")
    np.testing.assert_allclose(evaltool.score(preds, labels)["mse"], ((preds - labels) ** 2).mean(1), rtol=1e-5)


def test_soft_labels():
    preds, _ = problem("multiclass")
    shares = np.random.default_rng(1).dirichlet(np.ones(5), 60)
    scores = evaltool.score(preds, shares, losses=["ce", "dice"])
    expected = F.cross_entropy(torch.from_numpy(preds).double(), torch.from_numpy(shares), reduction="none")
    np.testing.assert_allclose(scores["ce"], expected, rtol=1e-5)
    assert scores["label"].tolist() == shares.argmax(1).tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, bool])
def test_one_hot_labels_equal_class_indices(dtype):
    preds, labels = problem("multiclass")
    one_hot = evaltool.score(preds, np.eye(5)[labels].astype(dtype), task="multiclass")
    assert one_hot.table.equals(evaltool.score(preds, labels).table)


def test_row_that_is_not_one_hot_among_one_hot_rows():
    preds, labels = np.zeros((5000, 3), np.float32), np.eye(3)[np.arange(5000) % 3]
    preds[:, 0] = 1.5
    row = unprobed(preds)[7]
    labels[row] = [0.5, 0.5, 0]
    scores = evaltool.score(preds, labels)
    assert scores["status"][row] == "bad_label"
    assert scores.summary["n_bad"] == 1


def test_soft_labels_leave_focal_out_of_the_default():
    preds, _ = problem("multiclass")
    scores = evaltool.score(preds, np.random.default_rng(1).dirichlet(np.ones(5), 60))
    assert list(scores.summary["losses"]) == ["ce", "dice"]
    with pytest.raises(EvaltoolError, match="the loss focal does not fit soft labels"):
        evaltool.score(preds, np.random.default_rng(1).dirichlet(np.ones(5), 60), losses=["focal"])


def test_soft_labels_that_are_no_shares_are_bad_labels():
    preds, _ = problem("multiclass")
    shares = np.random.default_rng(1).dirichlet(np.ones(5), 60)
    shares[3], shares[4], shares[5, 0] = 0.9, -0.2, np.nan
    scores = evaltool.score(preds, shares)
    assert np.flatnonzero(scores["status"] == "bad_label").tolist() == [3, 4, 5]


KINDS = {
    "probs": lambda z: z.softmax(1),
    "log-probs": lambda z: z.log_softmax(1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_probs_and_log_probs_give_what_logits_give(kind):
    preds, labels = problem("multiclass")
    given = KINDS[kind](torch.from_numpy(preds).double()).float().numpy()
    scores, expected = evaltool.score(given, labels), evaltool.score(preds, labels)
    assert scores.summary["preds_are"] == kind
    for name in ("ce", "focal", "dice", "p_label", "p_pred", "margin", "entropy"):
        np.testing.assert_allclose(scores[name], expected[name], rtol=2e-5, atol=2e-7, err_msg=name)


# what each dtype holds of the predictions, as a relative tolerance on the losses
DTYPES = {"<f4": 0, ">f4": 0, "<f8": 1e-6, ">f8": 1e-6, "<f2": 2e-2}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_and_orders(tmp_path, dtype, order):
    preds, labels = problem("multiclass")
    np.save(tmp_path / "preds.npy", np.asarray(preds, dtype=dtype, order=order))
    np.save(tmp_path / "labels.npy", labels.astype(">i2"))
    scores = evaltool.score(tmp_path / "preds.npy", tmp_path / "labels.npy")
    expected = evaltool.score(np.asarray(preds, dtype=dtype).astype(np.float64), labels)
    reference = evaltool.score(preds, labels)
    np.testing.assert_allclose(scores["ce"], expected["ce"], rtol=1e-5)
    np.testing.assert_allclose(scores["ce"], reference["ce"], rtol=DTYPES[dtype], atol=DTYPES[dtype])


def test_bfloat16_file_tensor_and_values_agree(tmp_path):
    preds, labels = problem("multiclass")
    tensor = torch.from_numpy(preds).bfloat16()
    np.save(tmp_path / "preds.npy", tensor.view(torch.int16).numpy().view("V2"))
    np.save(tmp_path / "labels.npy", labels)
    from_file = evaltool.score(tmp_path / "preds.npy", tmp_path / "labels.npy", dtype="bfloat16")
    from_tensor = evaltool.score(tensor, torch.from_numpy(labels))
    from_values = evaltool.score(tensor.float().numpy(), labels)
    assert from_file.table.equals(from_values.table)
    assert from_tensor.table.equals(from_values.table)


def test_scaled_bytes():
    probs = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    stored = np.round(probs * 255).astype(np.uint8)
    scores = evaltool.score(stored, np.arange(50) % 4, scale=255)
    assert scores.summary["preds_are"] == "probs"
    assert scores.summary["n_bad"] == 0
    expected = stored / stored.sum(1, keepdims=True)
    known = expected[np.arange(50), np.arange(50) % 4] > 0
    np.testing.assert_allclose(
        scores["ce"][known], -np.log(expected[np.arange(50), np.arange(50) % 4][known]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("task", TASKS[:5])
@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_cannot_be_scored(task, engine):
    preds, labels = problem(task)
    reference = evaltool.score(preds, labels, engine=engine)
    preds, labels = preds.copy(), labels.copy()
    preds.reshape(60, -1)[3, 0] = np.nan
    preds.reshape(60, -1)[4, 0] = np.inf
    labels.reshape(60, -1)[5, 0] = 77
    labels.reshape(60, -1)[6] = -100
    scores = evaltool.score(preds, labels, engine=engine)
    status = scores["status"]
    assert status[[3, 4, 5, 6]].tolist() == ["nonfinite", "nonfinite", "bad_label", "ignored"]
    assert (status == "ok").sum() == 56
    summary = scores.summary
    assert (summary["n_nonfinite"], summary["n_bad_label"], summary["n_ignored"], summary["n_bad"]) == (2, 1, 1, 3)
    ok = status == "ok"
    for name in scores.columns:
        column = scores.column(name)
        if name in ("index", "status"):
            assert column.null_count == 0
        elif name == "label":
            assert column.to_pylist()[5] == 77
        else:
            assert np.array_equal(np.asarray(column.is_null()), ~ok), name
            assert np.array_equal(scores[name][ok], reference[name][ok]), name
        if pa.types.is_floating(column.type):
            assert not np.isnan(np.array(column.drop_null().to_pylist(), float)).any()


def test_infinite_losses_are_kept_and_left_out_of_means():
    preds = np.array([[0.0, -np.inf], [0.0, 0.0], [1.0, -np.inf]], np.float32)
    scores = evaltool.score(preds, np.array([1, 1, 0]))
    assert scores["ce"].tolist() == [np.inf, pytest.approx(np.log(2)), 0.0]
    assert scores.summary["n_infinite"] == 1
    assert scores.summary["losses"]["ce"]["mean"] == pytest.approx(np.log(2) / 2)
    assert scores.summary["losses"]["ce"]["max"] == pytest.approx(np.log(2))
    assert scores.summary["hardest"][0]["ce"] == "inf"
    json.dumps(scores.summary, allow_nan=False)


def test_zero_probabilities_are_clamped_and_counted():
    preds = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]], np.float32)
    scores = evaltool.score(preds, np.array([0, 0, 1]))
    assert scores["ce"].tolist() == [pytest.approx(87.3365, rel=1e-5), 0.0, pytest.approx(np.log(2))]
    assert scores.summary["n_clamped"] == 1
    binary = evaltool.score(np.array([0.0, 1.0, 0.0]), np.array([1, 0, 0]))
    assert binary["bce"].tolist() == [pytest.approx(87.3365, rel=1e-5)] * 2 + [0.0]
    assert binary.summary["n_clamped"] == 2


@pytest.mark.parametrize("average", [None])
def test_multilabel_classes_equal_scikit_learn(average):
    preds, labels = problem("multilabel", 300)
    summary = evaltool.score(preds, labels).summary
    pred = preds > 0
    assert summary["accuracy"] == pytest.approx((pred == labels).mean())
    for name, function in (
        ("recall", metrics.recall_score),
        ("precision", metrics.precision_score),
        ("f1", metrics.f1_score),
    ):
        assert [row[name] for row in summary["classes"]] == pytest.approx(function(labels, pred, average=average))
    assert [row["count"] for row in summary["classes"]] == labels.sum(0).tolist()
    bce = F.binary_cross_entropy_with_logits(
        torch.from_numpy(preds).double(), torch.from_numpy(labels).double(), reduction="none"
    ).numpy()
    assert [row["mean_loss"]["bce"] for row in summary["classes"]] == pytest.approx(bce.mean(0), rel=1e-5)
    assert sum(row["loss_share"]["dice"] for row in summary["classes"]) == pytest.approx(1)


def test_segmentation_classes_equal_scikit_learn():
    preds, labels = problem("segmentation")
    labels[labels == 3] = -100
    summary = evaltool.score(preds, labels).summary
    valid = labels != -100
    y, pred = labels[valid], preds.argmax(1)[valid]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # class 3 has no position
        recall = metrics.recall_score(y, pred, labels=range(4), average=None)
        precision = metrics.precision_score(y, pred, labels=range(4), average=None)
    assert [row["recall"] or 0 for row in summary["classes"]] == pytest.approx(recall)
    assert [row["precision"] for row in summary["classes"]] == pytest.approx(precision)
    assert summary["classes"][3]["recall"] is None
    assert summary["accuracy"] == pytest.approx((y == pred).mean())
    ce = F.cross_entropy(torch.from_numpy(preds).double(), torch.from_numpy(labels), reduction="none").numpy()[valid]
    expected = np.bincount(y, weights=ce, minlength=4) / ce.sum()
    assert [row["loss_share"]["ce"] for row in summary["classes"]] == pytest.approx(expected, rel=1e-5)


def test_specs_name_columns_and_take_parameters():
    preds, labels = problem("multiclass")
    alpha = [0.5, 1.0, 2.0, 1.0, 1.0]
    scores = evaltool.score(
        preds, labels, losses=["ce", "hard=focal:gamma=5", "focal:gamma=0.5,alpha=0.5,1,2,1,1", "dice:squared=true"]
    )
    tensors = torch.from_numpy(preds), torch.from_numpy(labels)
    np.testing.assert_allclose(scores["hard"], FocalLoss(gamma=5)(*tensors), rtol=1e-5)
    np.testing.assert_allclose(scores["focal"], FocalLoss(gamma=0.5, alpha=alpha)(*tensors), rtol=1e-5)
    assert list(scores.summary["losses"]) == ["ce", "hard", "focal", "dice"]


def test_modules_and_mappings_as_losses():
    class LabelMargin(torch.nn.Module):
        def forward(self, preds, labels):
            return 1 - preds.gather(1, labels[:, None])[:, 0]

    preds, labels = problem("multiclass")
    scores = evaltool.score(preds, labels, losses={"plain": LabelMargin(), "ce": "ce", "weighted": CrossEntropyLoss()})
    np.testing.assert_array_equal(scores["plain"], 1 - preds[np.arange(60), labels])
    np.testing.assert_array_equal(scores["weighted"], scores["ce"])
    named = evaltool.score(preds, labels, losses=[LabelMargin(), FocalLoss()], engine="torchscript")
    assert list(named.summary["losses"]) == ["label_margin", "focal"]


def test_module_whose_class_is_called_as_a_column():
    class Margin(torch.nn.Module):
        pass

    with pytest.raises(EvaltoolError, match="the column 'margin' is taken"):
        evaltool.score(*problem("multiclass"), losses=[Margin()])


def test_module_that_fails_on_a_row_leaves_null_and_is_counted():
    class Sometimes(torch.nn.Module):
        def forward(self, preds, labels):
            return torch.where(labels == 2, torch.nan, preds[:, 0])

    preds, labels = problem("multiclass")
    scores = evaltool.score(preds, labels, losses={"sometimes": Sometimes()})
    assert scores.column("sometimes").null_count == (labels == 2).sum() == scores.summary["n_failed"]


@pytest.mark.parametrize("rule", ["inverse", "effective-number", [1.0, 2.0, 3.0, 4.0, 5.0]])
def test_class_weights_of_multiclass(rule):
    preds, labels = problem("multiclass")
    weights = rule
    if isinstance(rule, str):
        counts = np.bincount(labels, minlength=5)
        weights = 60 / (5 * counts) if rule == "inverse" else (1 - 0.9999) / (1 - 0.9999**counts)
    scores = evaltool.score(preds, labels, class_weights=rule)
    plain = evaltool.score(preds, labels)
    for name in ("ce", "focal"):
        np.testing.assert_allclose(scores[name], plain[name] * np.asarray(weights)[labels], rtol=1e-5)
    np.testing.assert_array_equal(scores["dice"], plain["dice"])


def test_class_weights_are_counted_from_labels_of_any_sort():
    preds, labels = problem("multiclass")
    reference = evaltool.score(preds, labels, class_weights="inverse")
    for given in (
        torch.from_numpy(labels),
        torch.from_numpy(labels).bfloat16(),
        labels.astype(">i4"),
        np.eye(5)[labels],
    ):
        assert evaltool.score(preds, given, class_weights="inverse").table.equals(reference.table)


@pytest.mark.parametrize("task", ["binary", "foreground", "multilabel"])
def test_class_weights_of_sigmoids(task):
    preds, labels = problem(task)
    weights = np.array([2.0, 3.0] if task != "multilabel" else [1.0, 2.0, 3.0, 4.0, 5.0])
    scores = evaltool.score(preds, labels, class_weights=weights.tolist())
    x, y = torch.from_numpy(preds.reshape(labels.shape)).double(), torch.from_numpy(labels)
    values = F.binary_cross_entropy_with_logits(x, y.double(), reduction="none").numpy()
    values = values * (weights if task == "multilabel" else weights[labels])
    name = "ce" if task == "foreground" else "bce"
    np.testing.assert_allclose(scores[name], values.reshape(60, -1).mean(1), rtol=1e-5)


def test_class_weight_of_zero_for_negatives():
    x, y = np.array([2.0, -1.0], np.float32), np.array([1, 0])
    scores = evaltool.score(x, y, task="binary", preds_are="logits", class_weights=[0.0, 1.0])
    assert scores["bce"].tolist() == [pytest.approx(np.log1p(np.exp(-2.0))), 0.0]
    assert scores["binary_focal"][1] == 0


@pytest.mark.parametrize("spec", ["bce:weight=1,5", "bce:pos_weight=1,5", "binary-focal:gamma=1,2"])
@pytest.mark.parametrize("task", ["binary", "foreground"])
def test_two_numbers_are_not_spread_over_samples_or_columns(task, spec):
    preds, labels = problem(task, 2)
    with pytest.raises(EvaltoolError, match="is one number\n  got 2 numbers, expected 1"):
        evaltool.score(preds, labels, losses=[spec], task="binary" if task == "binary" else "segmentation")


@pytest.mark.parametrize("setting", [{"preds_are": "probs"}, {"ignore_index": 255}])
def test_module_built_for_other_input_is_refused(setting):
    preds, labels = problem("multiclass")
    with pytest.raises(EvaltoolError, match="was built for other input"):
        evaltool.score(preds, labels, losses=[FocalLoss(**setting)])


def test_module_with_weights_of_another_length_is_told_of():
    preds, labels = problem("segmentation")
    with pytest.raises(EvaltoolError, match="the module of the column 'focal' failed"):
        evaltool.score(preds, labels, losses=[FocalLoss(alpha=[1.0, 2.0, 3.0])])


def test_a_foreign_map_is_not_taken_for_ours():
    class Mapped(torch.nn.Module):
        def forward(self, preds, labels):
            return preds.flatten(1).mean(1)

        def map(self, function):
            raise AssertionError("not for this")

    preds, labels = problem("segmentation")
    scores = evaltool.score(preds, labels, losses={"mapped": Mapped()})
    np.testing.assert_allclose(scores["mapped"], preds.reshape(60, -1).mean(1), rtol=1e-4, atol=1e-6)


def test_callers_module_is_left_as_it_was():
    module = torch.nn.Sequential()
    module.forward = lambda preds, labels: preds[:, 0]
    loss = FocalLoss()
    loss.train()
    evaltool.score(*problem("multiclass"), losses=[loss])
    assert loss.training


def test_torchs_number_of_threads_is_left_as_it_was():
    before = torch.get_num_threads()
    rng = np.random.default_rng(0)
    evaltool.score(rng.normal(size=(3000, 300)).astype(np.float32), rng.integers(0, 300, 3000))
    assert torch.get_num_threads() == before


def test_out_of_memory_asks_for_smaller_blocks_and_restores_the_threads(monkeypatch):
    """What PyTorch raises on a CPU is a plain RuntimeError."""
    from evaltool.metrics import MulticlassScorecard

    def full(self, preds, labels):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(MulticlassScorecard, "forward", full)
    before = torch.get_num_threads()
    preds, labels = problem("multiclass")
    with pytest.raises(EvaltoolError) as caught:
        evaltool.score(preds, labels, batch_size=20, engine="torch")
    assert str(caught.value) == "out of memory\n  rows 0 to 20 of preds on cpu\n  Pass a smaller --batch-size than 20."
    assert torch.get_num_threads() == before


def test_big_endian_bfloat16_bits():
    preds, labels = problem("multiclass")
    bits = (preds.view(np.uint32) >> 16).astype(">u2")
    expected = evaltool.score(bits.astype("<u2"), labels, dtype="bfloat16")
    assert evaltool.score(bits, labels, dtype="bfloat16").table.equals(expected.table)
    tensor = torch.from_numpy(bits.astype("<u2").view(np.int16))
    assert evaltool.score(tensor, labels, dtype="bfloat16").table.equals(expected.table)


def test_tensors_that_cannot_be_scored():
    labels = torch.zeros(3, dtype=torch.int64)
    for tensor in (
        torch.zeros(3, 4).to_sparse(),
        torch.zeros(3, 4, device="meta"),
        torch.zeros(3, 4).to(torch.float8_e5m2),
    ):
        with pytest.raises(EvaltoolError, match="this tensor cannot be scored"):
            evaltool.score(tensor, labels)


def test_probabilities_that_rounding_left_outside_are_taken():
    preds = np.array([1 + 1e-7, 1.0, -1e-8, 0.5], np.float32)
    scores = evaltool.score(preds, np.array([1, 1, 0, 0]), preds_are="probs", task="binary")
    assert scores["bce"].tolist() == [0, 0, 0, pytest.approx(np.log(2))]


def test_values_beyond_float32_are_infinite():
    scores = evaltool.score(np.array([1e300, 0.0]), np.array([-1e300, 0.5]), task="regression")
    assert scores["mse"].tolist() == [np.inf, 0.25]
    assert scores.summary["n_infinite"] == 1


def test_ids_stand_beside_the_index():
    preds, labels = problem("multiclass")
    scores = evaltool.score(preds, labels, ids=[f"img{i}.png" for i in range(60)])
    assert list(scores.columns)[:3] == ["index", "id", "label"]
    assert scores["id"][7] == "img7.png"
    assert scores.summary["hardest"][0]["id"].startswith("img")


def test_saved_scores_equal_streamed_ones(tmp_path):
    preds, labels = problem("multiclass")
    held = evaltool.score(preds, labels)
    held.save(tmp_path / "a.run")
    streamed = evaltool.score(preds, labels, output=tmp_path / "b.run")
    tables = [pyarrow.parquet.read_table(tmp_path / name / "scores.parquet") for name in ("a.run", "b.run")]
    assert tables[0].equals(tables[1])
    assert streamed.table.equals(tables[1])
    assert (tmp_path / "a.run/summary.json").read_bytes() == (tmp_path / "b.run/summary.json").read_bytes()
    np.testing.assert_array_equal(streamed["ce"], held["ce"])


def test_lists_memory_maps_and_tensors(tmp_path):
    preds, labels = problem("multiclass")
    np.save(tmp_path / "preds.npy", preds)
    reference = evaltool.score(preds, labels).table
    mapped = np.load(tmp_path / "preds.npy", mmap_mode="r")
    assert evaltool.score(mapped, labels).table.equals(reference)
    assert evaltool.score(torch.from_numpy(preds), torch.from_numpy(labels)).table.equals(reference)
    assert evaltool.score(torch.from_numpy(preds).requires_grad_(), labels).table.equals(reference)
    listed = evaltool.score(preds.tolist(), labels.tolist())
    np.testing.assert_allclose(listed["ce"], evaltool.score(preds, labels)["ce"], rtol=1e-5)


def test_inputs_are_not_changed():
    preds, labels = problem("multiclass")
    before = preds.copy(), labels.copy()
    evaltool.score(preds, labels)
    evaltool.score(torch.from_numpy(preds), torch.from_numpy(labels))
    assert np.array_equal(preds, before[0])
    assert np.array_equal(labels, before[1])


@pytest.mark.parametrize("shape", [(1, 2), (1, 3), (2, 2), (3, 1000)])
def test_small_and_wide(shape):
    preds = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    scores = evaltool.score(preds, np.zeros(shape[0], np.int64))
    assert scores.summary["n_scored"] == shape[0]


def test_state_holds_the_counts(tmp_path):
    preds, labels = problem("multiclass")
    evaltool.score(preds, labels, output=tmp_path / "a.run")
    with np.load(tmp_path / "a.run/state.npz") as state:
        assert np.array_equal(state["confusion"], metrics.confusion_matrix(labels, preds.argmax(1)))
        assert state["status"].tolist() == [60, 0, 0, 0, 0]
        assert state["histogram"].sum(1).tolist() == [60, 60, 60]
        assert state["calibration_top_label"][0, :, 0].sum() == 60
        assert state["calibration_top_label"][0, :, 1].sum() == (labels == preds.argmax(1)).sum()
    preds, labels = problem("multilabel")
    evaltool.score(preds, labels, output=tmp_path / "b.run")
    with np.load(tmp_path / "b.run/state.npz") as state:
        assert np.array_equal(state["confusion"], metrics.multilabel_confusion_matrix(labels, preds > 0))


def test_progress_tells_decisions_where_asked(capfd):
    evaltool.score(*problem("multiclass"))
    assert capfd.readouterr() == ("", "")
    evaltool.score(*problem("multiclass"), progress="none")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("task: multiclass, because")


def test_many_classes_are_counted_sparsely(tmp_path):
    rng = np.random.default_rng(0)
    preds, labels = rng.normal(size=(50, 3000)).astype(np.float32), rng.integers(0, 3000, 50)
    summary = evaltool.score(preds, labels, output=tmp_path / "a.run").summary
    with np.load(tmp_path / "a.run/state.npz") as state:
        keys, counts = state["confusion_pairs"]
        assert sorted(keys.repeat(counts)) == sorted(labels * 3000 + preds.argmax(1))
    assert summary["accuracy"] == (preds.argmax(1) == labels).mean()
    assert sum(row["count"] for row in summary["classes"]) == 50


def test_unknown_choice_is_a_value_error():
    with pytest.raises(ValueError, match="task='multi', expected one of auto, multiclass"):
        evaltool.score(*problem("multiclass"), task="multi")
    for options, message in (
        ({"max_bad": 2}, "max_bad=2, expected a share in"),
        ({"batch_size": 0}, "batch_size=0, expected at least 1"),
        ({"scale": float("nan")}, "scale=nan, expected a finite number above 0"),
        ({"scale": 0}, "scale=0, expected a finite number above 0"),
        ({"ignore_index": None}, "ignore_index=None, expected an integer"),
        ({"ignore_index": 2**63}, "expected an integer of 64 bits"),
        ({"device": "tpu"}, "device='tpu', expected auto, cpu, cuda or cuda:i"),
        ({"device": "mps"}, "device='mps', expected auto, cpu, cuda or cuda:i"),
        ({"dtype": "junk"}, "dtype='junk', expected one of None, bfloat16"),
    ):
        with pytest.raises(ValueError, match=message):
            evaltool.score(*problem("multiclass"), **options)
    with pytest.raises(EvaltoolError, match="this is no loss"):
        evaltool.score(*problem("multiclass"), losses={"three": 3})


def test_repr_says_what_it_is():
    preds, labels = problem("multiclass")
    assert repr(evaltool.score(preds, labels, losses=["ce"])).startswith("<Scores of 60 samples, multiclass: ce ")


def test_scores_are_shown_by_what_they_hold():
    preds, labels = problem("multiclass")
    preds[3] = np.nan
    scores = evaltool.score(preds, labels, losses=["ce"])
    assert repr(scores).startswith("<Scores of 60 samples, 1 of them bad, multiclass: ce ")
    assert repr(scores.columns).startswith("<Columns index, label, pred, status, ce, p_label")
    assert scores.summary["failure"] == scores.failure
    with pytest.raises(TypeError, match="not iterable"):
        iter(scores)


def test_rounded_probabilities_give_nearly_what_exact_ones_give():
    preds, labels = problem("multiclass")
    probs = torch.from_numpy(preds).double().softmax(1).numpy()
    scores, exact = evaltool.score(probs.round(3), labels), evaltool.score(probs, labels)
    assert scores.summary["n_bad"] == 0
    likely = exact["p_label"] > 0.1
    np.testing.assert_allclose(scores["ce"][likely], exact["ce"][likely], atol=0.02)


def test_unknown_column_names_those_there_are():
    with pytest.raises(KeyError, match="no column 'loss'; there are index, label, pred, status, ce"):
        evaltool.score(*problem("multiclass"))["loss"]


@pytest.mark.gpu
@pytest.mark.parametrize("task", TASKS)
def test_gpu_gives_what_the_cpu_gives(task):
    preds, labels = problem(task)
    cpu = evaltool.score(preds, labels, device="cpu")
    tensors = [torch.from_numpy(array).cuda() for array in (preds, labels)]
    for gpu in (evaltool.score(preds, labels, device="cuda"), evaltool.score(*tensors)):
        assert gpu.manifest["device"].startswith("cuda")
        assert gpu["status"].tolist() == cpu["status"].tolist()
        for name in cpu.summary["losses"]:
            np.testing.assert_allclose(gpu[name], cpu[name], rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("engine", ["fused", "torch"])
def test_a_mapping_names_the_columns_of_its_losses(engine):
    preds, labels = problem("multiclass")
    scores = evaltool.score(preds, labels, losses={"easy": "focal", "hard": "focal:gamma=5"}, engine=engine)
    assert [record["column"] for record in scores.manifest["losses"]] == ["easy", "hard"]
    assert list(scores.summary["losses"]) == ["easy", "hard"]
    plain = evaltool.score(preds, labels, losses=["focal"], engine=engine)
    np.testing.assert_array_equal(scores["easy"], plain["focal"])
