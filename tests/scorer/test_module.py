"""Columns from TorchScript files: trusted by a manifest or by word, and what they may get wrong."""

import hashlib
import json

import numpy as np
import pytest
import torch

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.losses import FocalLoss
from evaltool.numerics.scripting import scripted

RNG = np.random.default_rng(0)
PREDS = RNG.normal(size=(40, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, 40)


def save(module, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    scripted(module).save(str(path))
    return path


def vouch(path, folder, **fields):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"sha256": digest, **fields}))


class Raises(torch.nn.Module):
    def forward(self, preds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if preds.numel() > 0:
            raise ValueError("no such luck")
        return preds


class Scalar(torch.nn.Module):
    def forward(self, preds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return preds.mean()


def test_untrusted_file_is_not_run(tmp_path):
    path = save(FocalLoss(), tmp_path / "focal.pt")
    with pytest.raises(EvaltoolError, match="is code and is not run unasked"):
        evaltool.score(PREDS, LABELS, module=path)


@pytest.mark.parametrize("place", ["beside", "above"])
def test_file_that_a_manifest_vouches_for(tmp_path, place):
    """Beside the file, or one folder above as in a Triton model repository; it replaces the default of its name."""
    path = save(FocalLoss(gamma=3.0), tmp_path / "focal/1/model.pt")
    vouch(path, path.parent if place == "beside" else path.parent.parent, name="focal")
    scores = evaltool.score(PREDS, LABELS, module=path)
    assert list(scores.summary["losses"]) == ["ce", "focal", "dice"]
    expected = evaltool.score(PREDS, LABELS, losses=["focal:gamma=3"], engine="torch")
    np.testing.assert_array_equal(scores["focal"], expected["focal"])


def test_manifest_of_another_file_vouches_for_nothing(tmp_path):
    path = save(FocalLoss(), tmp_path / "focal.pt")
    vouch(path, tmp_path)
    save(FocalLoss(gamma=3.0), path)
    with pytest.raises(EvaltoolError, match="is not run unasked"):
        evaltool.score(PREDS, LABELS, module=path)
    (tmp_path / "manifest.json").write_text("not json")
    with pytest.raises(EvaltoolError, match="is not run unasked"):
        evaltool.score(PREDS, LABELS, module=path)


@pytest.mark.parametrize("engine", ["torch", "torchscript"])
def test_trusted_file_fills_a_column_of_its_name(tmp_path, engine):
    path = save(FocalLoss(gamma=3.0), tmp_path / "My loss-3.pt")
    scores = evaltool.score(PREDS, LABELS, module=[path, f"other={path}"], trust=True, engine=engine)
    assert list(scores.summary["losses"]) == ["ce", "focal", "dice", "my_loss_3", "other"]
    np.testing.assert_array_equal(scores["my_loss_3"], scores["other"])
    assert scores.manifest["losses"][3]["path"] == str(path)


def test_file_never_sees_a_row_that_cannot_be_scored(tmp_path):
    """A label out of range would be an index out of bounds in somebody else's module."""

    class Picks(torch.nn.Module):
        def forward(self, preds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return preds.gather(1, labels.unsqueeze(1)).squeeze(1)

    path = save(Picks(), tmp_path / "picks.pt")
    labels = LABELS.copy()
    labels[[3, 7]] = [99, -100]
    scores = evaltool.score(PREDS, labels, module=path, trust=True, max_bad=1)
    assert np.flatnonzero(np.isnan(scores["picks"])).tolist() == [3, 7]


FAILS = "the module of the column 'bad' failed\n  preds [40, 3] torch.float32, labels [40] torch.int64\n"
NO_VALUES = (
    "the module of the column 'bad' gives no value per sample\n  got [] torch.float32, expected [40] = [N] of floats\n"
)


@pytest.mark.parametrize(("module", "message"), [(Raises(), FAILS), (Scalar(), NO_VALUES)], ids=["raises", "scalar"])
def test_file_that_gives_no_values(tmp_path, module, message):
    path = save(module, tmp_path / "bad.pt")
    with pytest.raises(EvaltoolError) as caught:
        evaltool.score(PREDS, LABELS, module=path, trust=True, output=tmp_path / "out.run")
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "out.run").exists()
