"""evaltool fuse on the command line: what it prints, what it writes, what it says about bad input."""

import json
import re

import onnx
import pytest
import torch

from ..export.onnx_nets import WEIGHT, linear, model_of

DECIDED = """\
task: multiclass, because the preds are [N, C] with C = 5
preds: taken for logits; --preds-are says otherwise
"""


@pytest.fixture
def models(tmp_path):
    """Models in the empty directory."""
    onnx.save(linear(), tmp_path / "net.onnx")
    onnx.save(linear(10), tmp_path / "old.onnx")
    top = "net (float[N,4] x) => (int64[N] top, float[N,5] y) { y = MatMul(x, W) top = ArgMax<axis=1, keepdims=0>(y) }"
    onnx.save(model_of(top, W=WEIGHT), tmp_path / "top.onnx")
    noise = "net (float[N,4] x) => (float[N,4] y) { y = RandomNormalLike(x) }"
    onnx.save(model_of(noise), tmp_path / "noise.onnx")
    masks = "net (float[N,6,H,W] x) => (float[N,6,H,W] y) { y = Neg(x) }"
    onnx.save(model_of(masks), tmp_path / "masks.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "notes.txt").write_text("no graph")
    (tmp_path / "there.onnx").write_text("precious")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pt")
    return tmp_path


def test_the_report(cli, models):
    result = cli("fuse", "net.onnx", "--loss", "focal", "--loss", "hard=focal:gamma=5")
    assert re.sub(r"error \d\.\de-\d\d", "error *", result.stdout) == (
        """\
net_fused.onnx: compared on 3 batches, worst error *
  input   x float32 [batch, 4]
  input   labels int64 [batch]
  output  logits float32 [batch, 5]
  output  focal float32 [batch]
  output  hard float32 [batch]
"""
    )
    assert result.stderr == DECIDED
    assert result.exit_code == 0
    assert (models / "net_fused.onnx").is_file()


def test_the_report_of_one_batch_and_a_warning(cli, models):
    text = "net (float[2,4] x) => (float[2,M] y) { y = Reshape(x, shape) }"
    onnx.save(model_of(text, shape=[2, 4]), models / "two.onnx")
    result = cli("fuse", "two.onnx", "--loss", "bce")
    assert result.stdout.startswith("two_fused.onnx: compared on 1 batch, worst error ")
    assert result.stderr == (
        """\
preds: taken for logits; --preds-are says otherwise
warning: task: multilabel, because the preds are [N, C] with C = 4 and bce is none of multiclass: labels are 0 or 1 \
per class; --task multilabel says so
"""
    )


def test_the_report_as_json(cli, models):
    result = cli("fuse", "net.onnx", "--loss", "focal", "-o", "there.onnx", "--overwrite", "--json")
    report = json.loads(result.stdout)
    assert report["path"] == "there.onnx"
    assert [spec["name"] for spec in report["inputs"]] == ["x", "labels"]
    assert report["worst_error"] < 1e-5
    onnx.checker.check_model(onnx.load(models / "there.onnx"))


def test_the_example_in_the_help_works(cli, models):
    text = cli("fuse", "--help").output
    example = text[text.index("Example:") :].splitlines()[1].split()
    (models / "net.onnx").rename(models / "model.onnx")
    result = cli(*example[1:])
    assert result.exit_code == 0, result.output
    assert [value.name for value in onnx.load(models / "fused.onnx").graph.output] == ["logits", "focal", "ce"]


def test_what_differs_is_deleted_and_fails(cli, models):
    result = cli("fuse", "noise.onnx", "--loss", "ce")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[2] == (
        "failed: noise_fused.onnx: the output 'y' differs from the model's alone; is the model random?; it was deleted"
    )
    assert not (models / "noise_fused.onnx").exists()


# what is typed after `evaltool fuse`: what is said
WRONG = {
    "no_such.onnx": """\
error: no such file
  no_such.onnx
  Give a model's file: TorchScript (.pt), ONNX (.onnx) or .pt2.
""",
    "notes.txt": """\
error: not a model that can be run
  notes.txt: got .txt, expected TorchScript (.pt), ONNX (.onnx) or .pt2
  Export the model to one of them.
""",
    "text.onnx": """\
error: not an ONNX file, or truncated
  text.onnx: 8 bytes that hold no whole graph
  Copy or export it again.
""",
    "weights.pt --trust": """\
error: this holds weights or a pickled module, not TorchScript
  weights.pt: written by torch.save
  Load it into the module in Python and save that with torch.jit.script(module).save(path).
""",
    "old.onnx": """\
error: the model's opset is too old
  old.onnx: opset 10, expected 11 or later
  Convert it with onnx.version_converter.convert_version(model, 11).
""",
    "net.onnx -o there.onnx": """\
error: there is a file of that name
  there.onnx
  Pass --overwrite, or choose another with -o.
""",
    "net.onnx -o net.onnx --overwrite": """\
error: the fused model would replace the model
  net.onnx
  Choose another name with -o.
""",
    "net.onnx -o fused.pt": """\
error: this suffix is another format's
  fused.pt: net.onnx is ONNX, and so is what is fused
  Choose a name with .onnx.
""",
    "net.onnx -o no/such/fused.onnx": """\
error: no such folder
  no/such
  Create it, or choose another with -o.
""",
    "net.onnx --output-name preds": """\
error: the model has no such output
  net.onnx: 'preds', expected one of logits
  Choose one of them with --output-name.
""",
    "top.onnx": """\
error: this output cannot be predictions
  top.onnx: output top: int64 [3], expected floats of 1 to 5 axes, [N, ...]
  Choose another output with --output-name.
""",
    "net.onnx --loss fcal": """\
error: no loss is called 'fcal'
  --loss fcal
  Did you mean focal? `evaltool losses` lists them.
""",
    "net.onnx --loss ce --loss ce:label_smoothing=0.1": """\
error: two losses fill the output 'ce'
  --loss ce --loss ce:label_smoothing=0.1
  Name one of them, as in --loss other=ce.
""",
    "net.onnx --task segmentation": """\
error: the output does not fit the task segmentation
  net.onnx: output logits: shape [3, 5], expected [N, C, *S], one to three axes of positions
  Pass another --task, or choose another output with --output-name.
""",
    "masks.onnx --loss bce": """\
error: the loss bce does not fit the task segmentation with several classes
  bce is for binary, multilabel, segmentation
  Of a segmentation it takes one foreground class, [N, *S] or [N, 1, *S].
""",
    "net.onnx --loss focal:alpha=1,2,3": """\
error: alpha of the loss focal is not one number per class
  got 3 numbers, expected 1 or 5 = C
  Give one number per class, in the order of the class indices.
""",
    "net.onnx --loss ldam": """\
error: there are no labels to count
  --loss ldam
  Give numbers, or --counts with one count per class.
""",
    "net.onnx --loss ce --labels-dtype float32": """\
error: the losses take no labels of this dtype
  --labels-dtype float32, expected int64 or int32 for ce in the task multiclass
  Leave it out for int64.
""",
    "net.onnx --example no_such.npz": """\
error: cannot read the example
  no_such.npz: No such file or directory
  Save it with numpy.savez(file, name=array, ...).
""",
    "net.onnx --example notes.txt": """\
error: cannot read the example
  notes.txt: no .npz file
  Save it with numpy.savez(file, name=array, ...).
""",
}


@pytest.mark.parametrize("typed", WRONG)
def test_what_cannot_be_fused(cli, models, typed):
    before = sorted(path.name for path in models.iterdir())
    result = cli("fuse", *typed.split())
    assert result.stderr == WRONG[typed]
    assert result.stdout == ""
    assert result.exit_code == 2
    assert sorted(path.name for path in models.iterdir()) == before
    assert (models / "there.onnx").read_text() == "precious"
