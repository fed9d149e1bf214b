"""Losses inside ONNX graphs: the graph stays as it is, and the losses are those of its output."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper
from torch import nn
from torch.nn import functional as F

from evaltool.errors import EvaltoolError
from evaltool.export import fuse, fuse_onnx
from evaltool.losses import BinaryFocalLoss, CrossEntropyLoss, DiceLoss, FocalLoss
from evaltool.partial_files import partial_path

from .onnx_nets import WEIGHT, external, linear, model_of

pytestmark = pytest.mark.usefixtures("exported_once")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(model, name="net.onnx"):
    """Write a model here; return its path."""
    onnx.save(model, name)
    return name


def run(path, **feeds):
    """Return a file's outputs by name, as tensors."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    arrays = {name: value.numpy() for name, value in feeds.items()}
    names = [value.name for value in session.get_outputs()]
    return {
        name: torch.from_numpy(np.asarray(value)) for name, value in zip(names, session.run(None, arrays), strict=True)
    }


def sizes(value):
    """Return the sizes of a graph's input or output, names or numbers."""
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("opset", [*range(11, 24)])
def test_a_graph_keeps_its_opset_and_gains_the_losses(here, opset):
    model = linear(opset, ir_version=6)
    report = fuse(written(model), ["focal", "ce"])
    assert report.failure is None
    assert report.worst_error < 1e-5
    fused = onnx.load(report.path)
    onnx.checker.check_model(fused, full_check=True)
    assert fused.ir_version == 6
    assert [(item.domain, item.version) for item in fused.opset_import] == [("", opset)]
    assert [node.op_type for node in fused.graph.node][:1] == ["MatMul"]
    x, labels = torch.randn(7, 4), torch.randint(0, 5, (7,))
    found = run("net_fused.onnx", x=x, labels=labels)
    assert list(found) == ["logits", "focal", "ce"]
    assert torch.equal(found["logits"], run("net.onnx", x=x)["logits"])
    torch.testing.assert_close(found["ce"], F.cross_entropy(found["logits"], labels, reduction="none"))
    torch.testing.assert_close(found["focal"], FocalLoss()(found["logits"], labels))


def test_an_ir_version_before_initializers_stood_alone_is_kept(here):
    model = linear(11, ir_version=3)
    report = fuse(written(model), ["ce"])
    fused = onnx.load(report.path)
    onnx.checker.check_model(fused)
    assert fused.ir_version == 3
    assert [value.name for value in fused.graph.input] == ["x", "W", "labels"]


def test_sizes_of_labels_and_losses_follow_the_preds(here):
    fuse(written(linear(rows="batch")), ["ce"], output="named.onnx")
    fuse(written(linear(rows=6)), ["ce"], output="fixed.onnx")
    for name, size in (("named.onnx", "batch"), ("fixed.onnx", 6)):
        graph = onnx.load(name).graph
        assert [sizes(value) for value in [*graph.input, *graph.output]] == [[size, 4], [size], [size, 5], [size]]


@pytest.mark.parametrize("dtype", ["float16", "double"])
def test_preds_of_other_dtypes_stay_as_they_are(here, dtype):
    text = f"net (float[N,4] x) => ({dtype}[N,5] logits) {{ y = MatMul(x, W) logits = Cast<to={{}}>(y) }}"
    code = {"float16": 10, "double": 11}[dtype]
    report = fuse(written(model_of(text.replace("{}", str(code)), W=WEIGHT)), ["ce"])
    assert report.failure is None
    x, labels = torch.randn(6, 4), torch.randint(0, 5, (6,))
    found = run(report.path, x=x, labels=labels)
    assert torch.equal(found["logits"], run("net.onnx", x=x)["logits"])
    wanted = F.cross_entropy(found["logits"].to(torch.float64), labels, reduction="none")
    torch.testing.assert_close(found["ce"].to(torch.float64), wanted, rtol=1e-5, atol=0)


HALF_NETS = {  # ONNX Runtime computes both in float32 on a CPU
    "flat": ("net (float16[N,8] x) => (float16[N,5] logits) { logits = MatMul(x, W) }", (8, 5), (8,), 1),
    "one_class": ("net (float16[N,8] x) => (float16[N,1] logits) { logits = MatMul(x, W) }", (8, 1), (8,), 1),
    "image": (
        "net (float16[N,3,H,K] x) => (float16[N,4,H,K] logits) { logits = Conv(x, W) }",
        (4, 3, 1, 1),
        (3, 4, 2),
        9,
    ),
}


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("net", HALF_NETS)
def test_losses_of_half_preds_are_those_of_the_rounded_preds(here, net, opset):
    text, weight, row, scale = HALF_NETS[net]
    weights = (np.random.default_rng(3).normal(size=weight) * scale).astype(np.float16)
    report = fuse(written(model_of(text, opset, W=weights)))
    assert report.failure is None
    for rows in (0, 6):
        x = torch.randn(rows, *row).to(torch.float16)
        labels = torch.randint(0, 2, (rows, *row[1:]))
        found = run(report.path, x=x, labels=labels)
        assert [len(value) for value in found.values()] == [rows] * 4
    logits = found["logits"].to(torch.float64)
    if net == "one_class":
        wanted = F.binary_cross_entropy_with_logits(logits[:, 0], labels.double(), reduction="none")
    else:
        wanted = F.cross_entropy(logits, labels, reduction="none").reshape(6, -1).mean(1)
    torch.testing.assert_close(found[report.losses[0]["output"]].to(torch.float64), wanted, rtol=1e-5, atol=1e-7)


def test_bfloat16_is_told(here):
    text = "net (float[N,4] x) => (bfloat16[N,5] logits) { y = MatMul(x, W) logits = Cast<to=16>(y) }"
    with pytest.raises(EvaltoolError) as caught:
        fuse(written(model_of(text, W=WEIGHT)), ["ce"])
    assert str(caught.value) == (
        "the model cannot be run beside the fused one\n  net.onnx: logits is bfloat16, which ONNX Runtime exchanges "
        "with nobody\n  Cast it to float32 in the model."
    )


def test_names_that_clash_are_told(here):
    text = """net (float[N,4] labels, float[N,5] focal_in) => (float[N,5] ce, float[N,5] loss) {
        loss = MatMul(labels, W)
        odd = Neg(loss)
        ce = Sub(focal_in, odd)
    }"""
    model = model_of(text, W=WEIGHT)
    for number, node in enumerate(model.graph.node):
        node.name = f"evaltool/Cast_{number}"
        node.input[:] = ["evaltool/preds" if name == "odd" else name for name in node.input]
        node.output[:] = ["evaltool/preds" if name == "odd" else name for name in node.output]
    report = fuse(written(model), ["ce", "loss=focal"])
    assert report.notes == [
        "task: multiclass, because the preds are [N, C] with C = 5",
        "preds: taken for logits; --preds-are says otherwise",
        "preds: the output 'ce' of ce, loss; --output-name takes another",
        "input: 'labels_1', for the model has a 'labels'",
        "output: 'ce_loss', for the model has a 'ce'",
        "output: 'loss_loss', for the model has a 'loss'",
    ]
    given, logits, labels = torch.randn(6, 4), torch.randn(6, 5), torch.randint(0, 5, (6,))
    found = run(report.path, labels=given, focal_in=logits, labels_1=labels)
    assert list(found) == ["ce", "loss", "ce_loss", "loss_loss"]
    torch.testing.assert_close(found["ce_loss"], CrossEntropyLoss()(found["ce"], labels))
    torch.testing.assert_close(found["loss_loss"], FocalLoss()(found["ce"], labels))
    names = [name for node in onnx.load(report.path).graph.node for name in node.output]
    assert len(names) == len(set(names))


def test_a_fused_graph_can_be_fused_again(here):
    fuse(written(linear()), ["ce"], output="once.onnx")
    report = fuse("once.onnx", ["ce", "focal"], output="twice.onnx", ignore_index=0)
    assert (report.labels, [item["output"] for item in report.losses]) == ("labels_1", ["ce_loss", "focal"])
    x, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 4, 0])
    found = run("twice.onnx", x=x, labels=labels, labels_1=labels)
    torch.testing.assert_close(found["ce"][1:5], found["ce_loss"][1:5])
    assert found["ce_loss"][[0, 5]].tolist() == [0, 0]
    fusions = json.loads({item.key: item.value for item in onnx.load("twice.onnx").metadata_props}["evaltool"])
    assert [(item["labels"], item["ignore_index"]) for item in fusions] == [("labels", -100), ("labels_1", 0)]


def test_the_models_metadata_stay(here):
    model = linear()
    helper.set_model_props(model, {"author": "somebody", "evaltool": "not json"})
    report = fuse(written(model), ["focal:gamma=3"])
    found = {item.key: item.value for item in onnx.load(report.path).metadata_props}
    assert found["author"] == "somebody"
    theirs, ours = json.loads(found["evaltool"])
    assert theirs == "not json"
    assert (ours["kind"], ours["task"], ours["preds"], ours["labels"]) == ("fused", "multiclass", "logits", "labels")
    assert ours["losses"] == [
        {
            "column": "focal",
            "loss": "focal",
            "parameters": {"gamma": 3.0, "alpha": None},
            "formula": "alpha_t (1 - p_t)^gamma (-log p_t); gamma = 3.0, alpha = None",
            "output": "focal",
        }
    ]


@pytest.mark.parametrize("location", ["weights.bin", "deep/er/weights.bin"])
def test_external_data_stay_where_they_are_beside_the_fused_file(here, location):
    path = external(here, "net.onnx", location)
    report = fuse(path, ["ce"])
    assert sorted(item.name for item in here.iterdir()) == sorted(
        ["net.onnx", "net_fused.onnx", location.split("/")[0]]
    )
    weight = onnx.load(report.path, load_external_data=False).graph.initializer[0]
    assert {entry.key: entry.value for entry in weight.external_data}["location"] == location
    x, labels = torch.randn(3, 4), torch.tensor([1, 2, 3])
    assert torch.equal(run(report.path, x=x, labels=labels)["logits"], run(path, x=x)["logits"])


def test_external_data_are_copied_to_another_folder(here):
    (here / "models").mkdir()
    (here / "out").mkdir()
    path = external(here / "models", "net.onnx")
    report = fuse(path, ["ce"], output="out/fused.onnx")
    assert sorted(item.name for item in (here / "out").iterdir()) == ["fused.data", "fused.onnx"]
    x, labels = torch.randn(3, 4), torch.tensor([1, 2, 3])
    wanted = run(path, x=x)["logits"]
    path.with_name("weights.bin").unlink()
    assert torch.equal(run(report.path, x=x, labels=labels)["logits"], wanted)
    (here / "out/fused.onnx").unlink()
    external(here / "models", "net.onnx")
    with pytest.raises(EvaltoolError, match=r"there is a file of that name\n  out/fused\.data"):
        fuse(path, ["ce"], output="out/fused.onnx")
    assert sorted(item.name for item in (here / "out").iterdir()) == ["fused.data"]


def test_subgraphs_functions_and_other_domains_stay(here):
    text = """net (float[N,4] x, bool flip) => (float[N,5] logits, int64[N] top) {
        y = MatMul(x, W)
        logits = If (flip) <
            then_branch = then_graph () => (float[N,5] z) { focal = Neg(y) z = Identity(focal) },
            else_branch = else_graph () => (float[N,5] z2) { z2 = mine.twice(y) }
        >
        top = ArgMax<axis=1, keepdims=0>(logits)
    }"""
    twice = onnx.parser.parse_function('<domain: "mine", opset_import: ["" : 18]> twice (a) => (b) { b = Add(a, a) }')
    model = model_of(text, domains=["mine"], functions=[twice], W=WEIGHT)
    report = fuse(written(model), ["focal"])
    fused = onnx.load(report.path)
    assert [function.name for function in fused.functions] == ["twice"]
    assert fused.graph.node[1].SerializeToString() == model.graph.node[1].SerializeToString()
    assert [item["output"] for item in report.losses] == ["focal_loss"]
    x, labels = torch.randn(5, 4), torch.randint(0, 5, (5,))
    for flip, factor in ((True, -1), (False, 2)):
        found = run(report.path, x=x, flip=torch.tensor(flip), labels=labels)
        assert torch.equal(found["top"], found["logits"].argmax(1))
        torch.testing.assert_close(found["logits"], factor * x @ torch.from_numpy(WEIGHT))
        torch.testing.assert_close(found["focal_loss"], FocalLoss()(found["logits"], labels))


def test_one_pred_per_sample_has_flat_labels(here):
    text = "net (float[N,4] x) => (float[N,1] logit) { logit = ReduceSum(x, axis) }"
    report = fuse(written(model_of(text, axis=[1])), labels_dtype="float32")
    assert report.task == "binary"
    graph = onnx.load(report.path).graph
    assert [sizes(value) for value in graph.input] == [["N", 4], ["N"]]
    x, labels = torch.randn(5, 4), torch.tensor([0.0, 1.0, 0.25, 1.0, -100.0])
    found = run(report.path, x=x, labels=labels)
    assert list(found) == ["logit", "bce", "binary_focal", "dice"]
    wanted = F.binary_cross_entropy_with_logits(found["logit"][:4, 0], labels[:4], reduction="none")
    torch.testing.assert_close(found["bce"][:4], wanted)
    torch.testing.assert_close(found["binary_focal"], BinaryFocalLoss()(found["logit"][:, 0], labels))
    assert found["bce"][4] == 0


@pytest.mark.parametrize("opset", [11, 18])
def test_one_foreground_class_has_labels_without_its_axis(here, opset):
    text = "net (float[N,1,H,W] x) => (float[N,1,H,W] mask) { mask = Neg(x) }"
    report = fuse(written(model_of(text, opset)), ["dice", "bce", "ce"], task="segmentation")
    assert sizes(onnx.load(report.path).graph.input[1]) == ["N", "H", "W"]
    x, labels = torch.randn(3, 1, 6, 4), torch.randint(0, 2, (3, 6, 4))
    found = run(report.path, x=x, labels=labels)
    mask = found["mask"][:, 0]
    torch.testing.assert_close(found["dice"], DiceLoss(activation="sigmoid")(mask, labels))
    bce = F.binary_cross_entropy_with_logits(mask, labels.float(), reduction="none").mean((1, 2))
    torch.testing.assert_close(found["bce"], bce)
    torch.testing.assert_close(found["ce"], bce)  # a softmax of [0, x] is the sigmoid of x


@pytest.mark.parametrize(
    ("losses", "options", "task", "why"),
    [
        (["mse"], {}, "regression", "because the preds are [N, C] with C = 5 and mse is none of multiclass"),
        (["dice"], {"task": "multilabel"}, "multilabel", "as given by --task"),
    ],
)
def test_losses_decide_the_task_where_shapes_do_not(here, losses, options, task, why):
    report = fuse(written(linear()), losses, **options)
    assert report.task == task
    assert report.notes[0] == f"task: {task}, {why}"
    assert [spec["shape"] for spec in report.inputs] == [["batch", 4], ["batch", 5]]


def test_labels_per_class_are_warned_of_where_only_the_losses_ask_for_them(here):
    report = fuse(written(linear()), ["bce"])
    assert report.task == "multilabel"
    assert report.notes == ["preds: taken for logits; --preds-are says otherwise"]
    assert report.warnings == [
        "task: multilabel, because the preds are [N, C] with C = 5 and bce is none of multiclass: labels are 0 or 1 "
        "per class; --task multilabel says so"
    ]
    assert fuse(written(linear()), ["bce"], task="multilabel", overwrite=True).warnings == []


def test_probabilities_taken_for_logits_are_warned_of(here):
    path = written(model_of("net (float[N,4,H] x) => (float[N,4,H] probs) { probs = Softmax<axis=1>(x) }"))
    assert fuse(path, ["ce"]).warnings == ["preds: each row of 'probs' is in [0, 1] and sums to 1; --preds-are probs?"]
    assert fuse(path, ["ce"], preds_are="probs", overwrite=True).warnings == []
    assert fuse(written(linear(), "logits.onnx"), ["ce"]).warnings == []


def test_what_takes_a_while_is_announced(here):
    said = []
    fuse(written(linear()), ["ce"], announce=said.append)
    assert said == ["comparing with the model alone, some seconds"]


def test_the_output_that_was_asked_for_is_not_offered_again(here):
    text = "net (float[N,4] x) => (float[N,4] a, float[N,4] b) { a = Neg(x) b = Abs(x) }"
    report = fuse(written(model_of(text)), ["ce"], output_name="b")
    assert report.notes[2] == "preds: the output 'b' of a, b"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("float[M] y) { y = Reshape(x, flat) }", "[12]"),
        ("float[4,N] y) { y = Transpose(x) }", "[4, 3]"),
        ("float[4] y) { y = ReduceMean<keepdims=0>(x, rows) }", "[4]"),
        ("float[1,4] y) { y = ReduceMean<keepdims=1>(x, rows) }", "[1, 4]"),
    ],
    ids=["flattened", "transposed", "mean", "kept mean"],
)
def test_an_output_without_a_row_per_sample_is_told(here, text, shape):
    arrays = {"flat": [-1], "rows": [0]}
    path = written(model_of("net (float[N,4] x) => (" + text, **{k: v for k, v in arrays.items() if k in text}))
    with pytest.raises(EvaltoolError) as caught:
        fuse(path)
    assert str(caught.value) == (
        f"the output is not one row per sample\n  net.onnx: output y: shape {shape} for x [3, 4], expected [N, ...]\n"
        "  Choose another output with --output-name, or keep the samples apart in the model."
    )
    assert [item.name for item in here.iterdir()] == ["net.onnx"]


def test_what_a_killed_process_left_goes(here, monkeypatch):
    module = sys.modules["evaltool.export.fuse"]
    seen = []

    def compared(*args):
        seen.extend(item.name for item in here.iterdir())
        return known(*args)

    known = module.compared
    monkeypatch.setattr(module, "compared", compared)
    stale = here / f".net_fused.onnx.partial-{2**22 + 1}"  # above every process number
    stale.mkdir()
    (stale / "net_fused.onnx").write_text("half")
    fuse(written(linear()), ["ce"])
    assert sorted(seen) == [partial_path(Path("net_fused.onnx")).name, "net.onnx"]
    assert sorted(item.name for item in here.iterdir()) == ["net.onnx", "net_fused.onnx"]


def test_parameters_per_class_hold_for_the_classes_of_the_model(here):
    weights = [1.0, 2.0, 3.0, 4.0, 5.0]
    report = fuse(written(linear()), ["ce", "logit-adjusted"], class_weights=weights, counts=[5, 4, 3, 2, 1])
    x, labels = torch.randn(6, 4), torch.randint(0, 5, (6,))
    found = run(report.path, x=x, labels=labels)
    wanted = F.cross_entropy(found["logits"], labels, torch.tensor(weights), reduction="none")
    torch.testing.assert_close(found["ce"], wanted)


def test_probabilities_and_int32_labels(here):
    text = "net (float[N,4] x) => (float[N,4] probs) { probs = Softmax<axis=1>(x) }"
    report = fuse(written(model_of(text)), ["ce"], preds_are="probs", labels_dtype="int32")
    x, labels = torch.randn(6, 4), torch.randint(0, 4, (6,))
    found = run(report.path, x=x, labels=labels.to(torch.int32))
    torch.testing.assert_close(found["ce"], F.cross_entropy(x, labels, reduction="none"))


class Tagger(nn.Module):
    """Token ids to one distribution per token."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.out = nn.Conv1d(8, 6, 3, padding=1)

    def forward(self, tokens):
        return self.out(self.embed(tokens).transpose(1, 2))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of the exporter about itself
def test_a_model_exported_from_pytorch(here):
    net = Tagger().eval()
    axes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("length")},)
    tokens = torch.randint(0, 20, (2, 7))
    torch.onnx.export(
        net, (tokens,), "net.onnx", dynamo=True, dynamic_shapes=axes, input_names=["tokens"], verbose=False
    )
    report = fuse("net.onnx", ["ce"])
    assert report.task == "segmentation"
    assert [spec["shape"] for spec in report.inputs] == [["batch", "length"], ["batch", "length"]]
    labels = torch.randint(0, 6, (2, 7))
    found = run(report.path, tokens=tokens, labels=labels)
    with torch.no_grad():
        wanted = F.cross_entropy(net(tokens), labels, reduction="none").mean(1)
    torch.testing.assert_close(found["ce"], wanted, rtol=1e-5, atol=1e-6)


def test_a_model_that_random_inputs_do_not_fit_is_verified_on_the_users(here):
    text = "net (float[N,M] x) => (float[K,11] logits) { logits = Reshape(x, shape) }"
    path = written(model_of(text, shape=[-1, 11]))
    with pytest.raises(EvaltoolError) as caught:
        fuse(path, ["ce"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "the model does not run on random inputs, so the fused one could not be verified"
    assert lines[1] == "  net.onnx: takes x float32 [N, M]"
    assert lines[3] == "  Pass --example inputs.npz with an array for each input, by its name."
    np.savez("inputs.npz", x=np.random.default_rng(0).normal(size=(4, 11)).astype(np.float32))
    assert fuse(path, ["ce"], example="inputs.npz").batches == 1


def test_a_random_model_is_not_left_behind(here):
    text = "net (float[N,4] x) => (float[N,4] y) { y = RandomNormalLike(x) }"
    report = fuse(written(model_of(text)), ["ce"])
    assert report.failure == "the output 'y' differs from the model's alone; is the model random?"
    assert [item.name for item in here.iterdir()] == ["net.onnx"]


def test_a_wrong_loss_is_noticed_and_not_left_behind(here, monkeypatch, exported_once):
    def other(module, signature):
        graph = exported_once.known(module, signature)
        node = next(node for node in graph.graph.node if node.op_type == "Log")
        node.op_type = "Exp"
        return graph

    monkeypatch.setattr(fuse_onnx, "onnx_model", other)
    report = fuse(written(linear()), ["ce"])
    assert report.failure.startswith("error ")
    assert report.failure.endswith(" in the output 'ce', allowed is 1e-05")
    assert [item.name for item in here.iterdir()] == ["net.onnx"]
