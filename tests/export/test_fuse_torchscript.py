"""Losses around TorchScript modules: their outputs stay, and the losses are those of the preds."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from evaltool.errors import EvaltoolError
from evaltool.export import fuse
from evaltool.losses import FocalLoss
from evaltool.numerics.scripting import loaded, scripted
from evaltool.predictor import predict

from . import torchscript_nets as nets


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def saved(here):
    """Writes a module as net.pt, with other files in it."""

    def write(module, **extra_files):
        module.save("net.pt", _extra_files=extra_files)
        return "net.pt"

    return write


def opened(path, extra_files=None):
    return loaded(io.BytesIO(Path(path).read_bytes()), extra_files=extra_files)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("kind", ["scripted", "traced", "loaded"])
def test_modules_of_every_origin(saved, kind):
    net = nets.Linear().eval()
    script = torch.jit.trace(net, torch.randn(2, 4)) if kind == "traced" else scripted(net)
    if kind == "loaded":
        script = opened(saved(script))
    report = fuse(saved(script), ["focal", "ce"], trust=True)
    assert (report.path, report.failure, report.batches) == ("net_fused.pt", None, 3)
    x, labels = torch.randn(6, 4), torch.randint(0, 5, (6,))
    logits, focal, ce = opened(report.path)(x, labels)
    assert torch.equal(logits, net(x))
    assert torch.equal(focal, FocalLoss()(logits, labels))
    torch.testing.assert_close(ce, F.cross_entropy(logits, labels, reduction="none"))


@pytest.mark.parametrize(
    ("net", "options", "outputs"),
    [
        (nets.InDict, {"output_name": "the 'logits'"}, ["hidden", "the 'logits'", "ce"]),
        (nets.InList, {}, ["output0", "output1", "ce"]),
        (nets.InNamedTuple, {}, ["logits", "hidden", "ce"]),
    ],
)
def test_outputs_of_every_kind_come_in_a_tuple(saved, net, options, outputs):
    net = net().eval()
    report = fuse(saved(scripted(net)), ["ce"], trust=True, **options)
    assert [spec["name"] for spec in report.outputs] == outputs
    x, labels = torch.randn(6, 4), torch.randint(0, 5, (6,))
    found = dict(zip(outputs, opened(report.path)(x, labels), strict=True))
    torch.testing.assert_close(found["ce"], F.cross_entropy(net.linear(x), labels, reduction="none"))
    assert any(torch.equal(value, x) for value in found.values())


def test_outputs_that_are_no_tensors_pass_through(saved):
    net = nets.Nested()
    report = fuse(saved(scripted(net)), ["ce"], trust=True)
    logits, pair, count, ce = opened(report.path)(torch.ones(2, 4), torch.tensor([1, 2]))
    assert [item.tolist() for item in pair] == [[[1.0] * 4] * 2, [[2.0] * 4] * 2]
    assert count == 2
    torch.testing.assert_close(ce, F.cross_entropy(logits, torch.tensor([1, 2]), reduction="none"))


def test_inputs_keep_their_names_order_and_defaults(saved):
    net = nets.Clashing()
    np.savez("inputs.npz", labels=np.ones((3, 4), np.float32), found=np.zeros((3, 5), np.float32))
    report = fuse(saved(scripted(net)), ["ce"], trust=True, example="inputs.npz", output_name="output0")
    assert report.notes[-1] == "input: 'labels_1', for the model has a 'labels'"
    fused = opened(report.path)
    schema = [argument.name for argument in fused.forward.schema.arguments]
    assert schema == ["self", "labels", "found", "labels_1", "mask"]
    x, y, mask, labels = torch.randn(3, 4), torch.randn(3, 5), torch.rand(3, 5), torch.tensor([0, 1, 2])
    torch.testing.assert_close(fused(x, y, labels)[0], net(x, y)[0])
    torch.testing.assert_close(fused(x, y, labels, mask)[0], net(x, y, 1.0, mask)[0])


def test_an_image_model_is_fused_as_it_predicts(saved):
    net = nets.Dropping()
    report = fuse(saved(scripted(net.train())), trust=True)
    assert (report.task, list(report.record()["losses"][2])) == (
        "segmentation",
        ["column", "loss", "parameters", "formula", "output"],
    )
    image, labels = torch.randn(2, 3, 5, 7), torch.randint(0, 6, (2, 5, 7))
    torch.testing.assert_close(opened(report.path)(image, labels)[0], net.eval()(image))


def test_one_foreground_class_has_labels_without_its_axis(saved):
    report = fuse(saved(scripted(nets.Mask())), ["bce", "ce"], trust=True)
    assert report.inputs[1] == {"name": "labels", "dtype": "int64", "shape": ["N", "S1", "S2", "S3"]}
    volume, labels = torch.randn(2, 2, 3, 4, 5), torch.randint(0, 2, (2, 3, 4, 5))
    mask, bce, ce = opened(report.path)(volume, labels)
    wanted = F.binary_cross_entropy_with_logits(mask[:, 0], labels.float(), reduction="none").mean((1, 2, 3))
    torch.testing.assert_close(bce, wanted)
    torch.testing.assert_close(ce, wanted)


def test_several_inputs_need_an_example(saved):
    path = saved(scripted(nets.Tokens()))
    with pytest.raises(EvaltoolError) as caught:
        fuse(path, ["ce"], trust=True)
    assert str(caught.value) == (
        "the model does not run on random inputs, so the fused one could not be verified\n"
        "  net.pt: takes tokens, keep\n  it does not say their shapes\n"
        "  Pass --example inputs.npz with an array for each input, by its name."
    )
    np.savez("inputs.npz", tokens=np.arange(8).reshape(2, 4), keep=np.ones((2, 4), np.float32))
    assert fuse(path, ["ce"], trust=True, example="inputs.npz").failure is None
    np.savez("other.npz", tokens=np.arange(8).reshape(2, 4))
    with pytest.raises(EvaltoolError) as caught:
        fuse(path, ["ce"], trust=True, example="other.npz", overwrite=True)
    assert str(caught.value) == (
        "the example holds other inputs than the model takes\n  other.npz: tokens, expected tokens, keep\n"
        "  Save one array per input, by its name."
    )


def test_files_beside_the_module_stay(saved):
    path = saved(scripted(nets.Linear()), **{"metadata.json": '{"by": "somebody"}', "classes.txt": "a b c"})
    report = fuse(path, ["ce"], trust=True)
    extra = {"metadata.json": "", "model_metadata.json": "", "classes.txt": ""}
    opened(report.path, extra)
    assert json.loads(extra["model_metadata.json"]) == {"by": "somebody"}
    assert extra["classes.txt"] == b"a b c"
    metadata = json.loads(extra["metadata.json"])
    assert (metadata["kind"], metadata["preds"], metadata["labels"]) == ("fused", "output", "labels")
    assert metadata["inputs"] == report.inputs
    assert [spec["name"] for spec in metadata["outputs"]] == ["output", "ce"]


def test_a_module_that_wants_more_than_tensors_is_told(saved):
    with pytest.raises(EvaltoolError) as caught:
        fuse(saved(scripted(nets.Needy())), ["ce"], trust=True)
    assert str(caught.value) == (
        "the model takes more than tensors\n  net.pt: times is int, expected Tensor\n"
        "  Give it a default, or wrap the module in one that takes tensors alone."
    )


def test_nothing_runs_that_nobody_vouches_for(saved, here):
    with pytest.raises(EvaltoolError, match="a TorchScript file is code and is not run unasked"):
        fuse(saved(scripted(nets.Linear())), ["ce"])
    assert [path.name for path in here.iterdir()] == ["net.pt"]


def test_a_random_module_is_not_left_behind(saved, here):
    report = fuse(saved(scripted(nets.Noisy())), ["ce"], trust=True)
    assert report.failure == "the output 'output' differs from the model's alone; is the model random?"
    assert [path.name for path in here.iterdir()] == ["net.pt"]


def test_a_module_that_changes_its_input_is_fused(saved):
    report = fuse(saved(scripted(nets.InPlace())), ["ce"], trust=True)
    assert report.failure is None


def test_an_output_without_a_row_per_sample_is_told(saved):
    torch.manual_seed(0)
    with pytest.raises(EvaltoolError, match=r"the output is not one row per sample\n  net\.pt: output output: shape "):
        fuse(saved(scripted(nets.Chosen())), ["ce"], trust=True)


@pytest.mark.parametrize("suffix", [".onnx", ".ONNX", ".pt2"])
def test_a_suffix_of_another_format_is_told_before_anything_runs(saved, here, suffix):
    with pytest.raises(EvaltoolError) as caught:
        fuse(saved(scripted(nets.Linear())), ["ce"], output=f"fused{suffix}")  # not trusted, so not run
    assert str(caught.value) == (
        f"this suffix is another format's\n  fused{suffix}: net.pt is TorchScript, and so is what is fused\n"
        "  Choose a name with .pt."
    )
    assert [path.name for path in here.iterdir()] == ["net.pt"]


def test_sizes_that_nobody_knows_are_left_open(saved):
    report = fuse(saved(scripted(nets.Dropping())), ["ce"], trust=True)
    assert report.inputs[0] == {"name": "image", "dtype": "float32", "shape": ["N", 3, None, None]}
    assert report.outputs[0] == {"name": "output", "dtype": "float32", "shape": ["N", None, None, None]}
    with pytest.raises(EvaltoolError) as caught:
        fuse(saved(scripted(nets.Narrow())), ["ce"], trust=True, overwrite=True)
    assert str(caught.value).splitlines()[1] == "  net.pt: takes image float32 [?, 3, ?, ?]"


def test_a_fused_file_is_predicted_with_by_the_names_of_its_outputs(saved):
    path = fuse(saved(scripted(nets.InList())), ["focal"], trust=True).path
    x, labels = torch.randn(6, 4), torch.randint(0, 5, (6,))
    done = predict(path, {"x": x, "labels": labels}, output="focal.npy", output_name="focal", trust=True)
    assert done["output"]["name"] == "focal"
    logits = opened(path)(x, labels)[0].detach()
    torch.testing.assert_close(torch.from_numpy(np.load("focal.npy")), FocalLoss()(logits, labels))


def test_a_fused_file_can_be_fused_again(saved):
    path = fuse(saved(scripted(nets.Linear())), ["ce"], trust=True).path
    report = fuse(path, ["ce"], output="twice.pt", ignore_index=0, trust=True)
    assert [spec["name"] for spec in report.inputs] == ["x", "labels", "labels_1"]
    assert [spec["name"] for spec in report.outputs] == ["output", "ce", "ce_loss"]
    x, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 4, 0])
    _, once, twice = opened("twice.pt")(x, labels, labels)
    torch.testing.assert_close(once[1:5], twice[1:5])
    assert twice[[0, 5]].tolist() == [0, 0]


def test_an_archive_that_is_no_module_is_told(here):
    with zipfile.ZipFile("net.pt", "w") as archive:
        archive.writestr("net/data.txt", "nothing")
    with pytest.raises(EvaltoolError, match="not a TorchScript file"):
        fuse("net.pt", ["ce"], trust=True)
