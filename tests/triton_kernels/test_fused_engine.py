"""The engine fused on a GPU gives blocks like those of the engine torch: columns, statuses, counts."""

import numpy as np
import pytest
import torch

from evaltool.engines.fused_cuda import FusedCudaEngine
from evaltool.engines.torch_ import TorchEngine
from evaltool.errors import EvaltoolError
from evaltool.losses import (
    BinaryCrossEntropyLoss,
    BinaryFocalLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    OneVsAllFocalLoss,
)
from evaltool.readers import open_labels, open_preds
from evaltool.schema import OK
from evaltool.scorer.blocks import scored_blocks
from tests.triton_kernels.running import DEVICE, assert_near, kernels_run

pytestmark = kernels_run


def engines(losses, *, task="multiclass", num_classes=5, preds_are="logits", foreground=False, one_hot=False, two=()):
    job = {
        "task": task,
        "preds_are": preds_are,
        "num_classes": num_classes,
        "foreground": foreground,
        "one_hot": one_hot,
        "soft_labels": False,
        "tolerance": 1e-3,
        "ignore_index": -100,
        "losses": losses,
        "two_classes": two,
    }
    return FusedCudaEngine(**job, device=DEVICE), TorchEngine(**job, device=torch.device("cpu"))


def assert_same_blocks(fused, torch_engine, preds, labels):
    got, expected = fused.score(preds, labels), torch_engine.score(preds, labels)
    assert got.status.dtype == np.int8
    assert got.status.tolist() == expected.status.tolist()
    ok = expected.status == OK
    assert set(got.columns) == set(expected.columns)
    for name, values in expected.columns.items():
        assert got.columns[name].dtype == values.dtype, name
        if values.dtype.kind == "f":
            assert_near(torch.from_numpy(got.columns[name][ok]), torch.from_numpy(values[ok]), name)
        else:
            rows = slice(None) if name == "label" else ok
            assert got.columns[name][rows].tolist() == values[rows].tolist(), name
    assert got.confusion.tolist() == expected.confusion.tolist()
    assert got.bad_labels.tolist() == expected.bad_labels.tolist()
    assert got.n_clamped == expected.n_clamped
    assert set(got.class_loss) == set(expected.class_loss)
    for name, (sums, counts) in expected.class_loss.items():
        mine, my_counts = got.class_loss[name]
        assert my_counts.tolist() == counts.tolist(), name
        sizes = 2.0 ** (np.maximum(np.arange(255), 1) - 150)
        total = [float((pairs[1] * sizes[pairs[0] % 255]).sum()) for pairs in (mine, sums)]
        assert total[0] == pytest.approx(total[1], rel=1e-5), name
    assert set(got.counts) == set(expected.counts)
    for name, counts in expected.counts.items():
        assert np.array_equal(got.counts[name], counts), name  # of the same modules, with the kernel's predictions
    for name, places in expected.places.items():
        assert np.array_equal(np.sort(got.places[name]), np.sort(places)), name
    return got


DEFAULTS = {"ce": CrossEntropyLoss(), "focal": FocalLoss(), "dice": DiceLoss()}


def test_rows_of_every_status(rng):
    preds = rng.normal(0, 5, (60, 5)).astype(np.float32)
    labels = rng.integers(0, 5, 60)
    labels[:4] = [-100, 5, 7, 5]
    preds[5, 2], preds[6, 1], preds[7, labels[7]] = np.nan, np.inf, -np.inf
    got = assert_same_blocks(*engines(DEFAULTS), preds, labels)
    assert np.isposinf(got.columns["ce"][7])


@pytest.mark.parametrize("kind", ["uint8", "float32", "column", "one_hot"])
def test_labels_of_every_sort(rng, kind):
    preds = rng.normal(0, 5, (30, 5)).astype(np.float16)
    labels = rng.integers(0, 5, 30)
    given = {"uint8": labels.astype(np.uint8), "float32": labels.astype(np.float32), "column": labels[:, None]}
    given["one_hot"] = np.eye(5)[labels]
    if kind == "float32":
        given[kind][[1, 2]] = np.nan, 0.5
    assert_same_blocks(*engines(DEFAULTS, one_hot=kind == "one_hot"), preds, given[kind])


def test_probabilities_of_0_are_counted_as_clamped(rng):
    preds = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 20)]
    labels = rng.integers(0, 5, 20)
    losses = {"ce": CrossEntropyLoss(preds_are="probs")}
    assert assert_same_blocks(*engines(losses, preds_are="probs"), preds, labels).n_clamped > 0


def test_float64_is_computed_in_float64(rng):
    preds = rng.normal(0, 5, (30, 5))
    fused, torch_engine = engines(DEFAULTS)
    got, expected = (engine.score(preds, np.arange(30) % 5) for engine in (fused, torch_engine))
    assert np.allclose(got.columns["ce"], expected.columns["ce"], rtol=1e-7)


@pytest.mark.parametrize("column", [False, True], ids=["vector", "column"])
@pytest.mark.parametrize("labels", ["integers", "floats", "shares"])
def test_binary(rng, labels, column):
    preds = rng.normal(0, 5, (40, 1) if column else 40).astype(np.float32)
    given = rng.integers(0, 2, 40)
    given[:2] = [-100, 3]
    if labels != "integers":
        given = given.astype(np.float32)
        given[5] = 0.25 if labels == "shares" else np.nan
    losses = {"bce": BinaryCrossEntropyLoss(), "binary_focal": BinaryFocalLoss(alpha=0.25), "dice": DiceLoss()}
    assert_same_blocks(*engines(losses, task="binary", num_classes=2), preds, given)


def test_segmentation(rng):
    preds = rng.normal(0, 3, (6, 5, 7, 9)).astype(np.float32)
    labels = rng.integers(0, 5, (6, 7, 9))
    labels[:, 0], labels[1], labels[2, 3, 3] = -100, -100, 5
    preds[3, 2, 4, 4], preds[4, 2, 0, 0] = np.nan, np.nan
    losses = DEFAULTS | {"all": DiceLoss(classes="all", squared=True)}
    assert_same_blocks(*engines(losses, task="segmentation"), preds, labels)


@pytest.mark.parametrize("axis", [False, True], ids=["N*S", "N1*S"])
def test_one_foreground_class(rng, axis):
    preds = rng.normal(0, 3, (6, 1, 7, 9) if axis else (6, 7, 9)).astype(np.float32)
    labels = rng.integers(0, 2, (6, 7, 9))
    labels[:, 0] = -100
    losses = {"bce": BinaryCrossEntropyLoss(), "dice": DiceLoss(activation="sigmoid"), "ce": CrossEntropyLoss()}
    pair = engines(losses, task="segmentation", num_classes=2, foreground=True, two=("ce",))
    assert_same_blocks(*pair, preds, labels)


def test_a_file_in_blocks_is_the_whole_array(rng, tmp_path):
    preds = rng.normal(0, 5, (95, 5)).astype(np.float16)
    labels = rng.integers(-1, 5, 95)
    np.save(tmp_path / "preds.npy", preds)
    np.save(tmp_path / "labels.npy", labels)
    fused, torch_engine = engines(DEFAULTS)
    rows = open_preds(tmp_path / "preds.npy"), open_labels(tmp_path / "labels.npy")
    blocks = list(scored_blocks(*rows, fused, 20))
    assert [start for start, _ in blocks] == [0, 20, 40, 60, 80]
    whole = torch_engine.score(preds, labels)
    assert np.concatenate([block.status for _, block in blocks]).tolist() == whole.status.tolist()
    for name in ("ce", "dice", "p_label", "margin"):
        values = np.concatenate([block.columns[name] for _, block in blocks])
        ok = whole.status == OK
        assert_near(torch.from_numpy(values[ok]), torch.from_numpy(whole.columns[name][ok]), name)


def test_what_no_kernel_has_is_refused_by_name():
    for losses, words in (
        ({"ova": OneVsAllFocalLoss()}, "no kernel has the loss OneVsAllFocalLoss of the column ova"),
        ({"ce": CrossEntropyLoss(label_smoothing=0.1)}, "no kernel has the label smoothing of the column ce"),
        ({"own": torch.nn.CrossEntropyLoss()}, "no kernel has the loss CrossEntropyLoss of the column own"),
        ({"ce": CrossEntropyLoss(weight=[1.0, 2.0])}, "the column ce has numbers for other classes"),
    ):
        with pytest.raises(EvaltoolError, match=words):
            engines(losses)
    with pytest.raises(EvaltoolError, match="no kernel does the task multilabel on a GPU"):
        engines({}, task="multilabel")
