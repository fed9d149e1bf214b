"""The engine fused on a GPU, end to end: the same columns, statuses and summary as the engine torch."""

import numpy as np
import pytest
import torch

import evaltool

pytestmark = pytest.mark.gpu
SHAPES = {"multiclass": (3000, 1000), "narrow": (20_000, 10), "binary": (5000,), "segmentation": (12, 4, 64, 48)}


def inputs(case, dtype, rng):
    shape = SHAPES[case]
    preds = torch.from_numpy(rng.normal(0, 5, shape)).to(dtype)
    classes = shape[1] if len(shape) > 1 else 2
    labels = torch.from_numpy(rng.integers(0, classes, shape[:1] + shape[2:]))
    labels.view(-1)[:3] = -100
    preds.view(-1)[5] = torch.nan
    return preds, labels


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("source", ["file", "tensor"])
def test_scores_are_those_of_torch(case, dtype, source, batch_size, rng, tmp_path):
    preds, labels = inputs(case, dtype, rng)
    if batch_size is not None:
        preds, labels = preds[:100], labels[:100]
    given = preds.cuda(), labels.cuda()
    if source == "file":
        given = tmp_path / "preds.npy", tmp_path / "labels.npy"
        for path, tensor in zip(given, (preds, labels), strict=True):
            np.save(path, tensor.numpy())
    task = "multiclass" if case == "narrow" else case
    asked = {"task": task, "preds_are": "logits", "device": "cuda", "max_bad": 1.0, "batch_size": batch_size}
    got, expected = evaltool.score(*given, **asked), evaltool.score(preds, labels, **{**asked, "engine": "torch"})
    assert (got.manifest["engine"], got.manifest["provider"]) == ("fused", "Triton")
    mine, theirs = got.table.to_pandas(), expected.table.to_pandas()
    for name in theirs.columns:
        if theirs[name].dtype.kind == "f":
            np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-5, atol=1e-37, err_msg=name)
        else:
            assert mine[name].tolist() == theirs[name].tolist(), name
    for name in ("n_scored", "n_bad", "accuracy"):
        assert got.summary[name] == expected.summary[name]
