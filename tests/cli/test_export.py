"""``evaltool export`` and ``evaltool verify`` as a user meets them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.zoo import snapshot

FOCAL = "exported/torchscript/focal/1/model.pt"
WIDE = "exported/torchscript/wide/1/model.pt"


def test_export_says_what_it_wrote(cli):
    result = cli("export", "focal", "wide=ce:label_smoothing=0.1", "--format", "torchscript", "-o", "exported")
    assert result.exit_code == 0
    sizes = [Path(path).stat().st_size for path in (FOCAL, FOCAL.replace("focal", "wide"))]
    worst = [
        json.loads(Path(f"exported/torchscript/{n}/manifest.json").read_text())["worst_error"]
        for n in ("focal", "wide")
    ]
    assert result.stdout == (
        f"exported/torchscript/focal/1/model.pt  {sizes[0]:,} bytes, worst error {worst[0]:.1e}\n"
        f"exported/torchscript/wide/1/model.pt  {sizes[1]:,} bytes, worst error {worst[1]:.1e}\n"
        "2 artifacts in exported; check at any time with `evaltool verify exported`\n"
    )
    again = cli("verify", "exported")
    assert again.exit_code == 0
    lines = again.stdout.splitlines()
    assert [line.split("  worst")[0] for line in lines[:2]] == [
        f"ok      {FOCAL}",
        f"ok      {FOCAL.replace('focal', 'wide')}",
    ]
    assert lines[2] == "2 of 2 files are what their manifests say"


def test_losses_and_metrics_in_one_command(cli):
    typed = "focal auroc:num_bins=64 half=loss-quantiles:loss=[focal:gamma=1,alpha=0.5],at=0.5"
    result = cli("export", *typed.split(), "--num-classes", "3", "--format", "torchscript", "-o", "exported")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("exported/torchscript").iterdir()) == ["auroc", "focal", "half"]
    manifest = json.loads(Path("exported/torchscript/half/manifest.json").read_text())
    assert manifest["parameters"] == {"at": [0.5]}
    assert manifest["losses"] == [{"column": "focal", "loss": "focal", "parameters": {"gamma": 1.0, "alpha": 0.5}}]
    assert cli("verify", "exported").exit_code == 0


def test_json_of_both(cli):
    result = cli("export", "dice", "--format", "torchscript", "-o", "exported", "--json")
    (record,) = json.loads(result.stdout)
    assert record["path"] == "exported/torchscript/dice/1/model.pt"
    assert record["failure"] is None
    assert record["worst_error"] == max(record["errors"].values())
    (record,) = json.loads(cli("verify", record["path"], "--json").stdout)
    assert record["failure"] is None


def test_verify_of_a_changed_file_exits_with_1(cli):
    cli("export", "dice", "--format", "torchscript", "-o", "exported")
    path = Path("exported/torchscript/dice/1/model.pt")
    path.write_bytes(path.read_bytes() + b" ")
    result = cli("verify", "exported")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"FAILED  {path}  sha256 ")
    assert result.stdout.endswith("0 of 1 files are what their manifests say\n")


BAD = {
    "export fcal": """\
error: no loss or metric is called 'fcal'
  fcal
  Did you mean focal? `evaltool losses` lists losses, `evaltool losses --metrics` metrics.
""",
    "export mcc --num-classes 3": """\
error: no loss or metric is called 'mcc'
  mcc
  Did you mean matthews-corrcoef? `evaltool losses` lists losses, `evaltool losses --metrics` metrics.
""",
    "export auroc:bins=9 --num-classes 3": """\
error: auroc has no parameter 'bins'
  auroc:bins=9
  Did you mean num_bins? It takes average, num_bins.
""",
    "export auroc:num_classes=3": """\
error: num_classes is no parameter of a single metric
  auroc:num_classes=3
  It is the same for all of them: pass --num-classes.
""",
    "export auroc": """\
error: bad parameter of the metric auroc
  num_classes=None, expected 2 or more where task='multiclass'
  Pass --num-classes.
""",
    "export accuracy:top_k=1.5": """\
error: bad parameter of the metric accuracy
  top_k=1.5, expected an integer
  It takes top_k, threshold.
""",
    "export cohen-kappa --task multilabel --num-classes 3": """\
error: the metric cohen-kappa does not fit the task multilabel
  cohen-kappa: it is for multiclass, binary, segmentation
  `evaltool losses --metrics --task multilabel` lists those that do.
""",
    "export loss-quantiles": """\
error: loss-quantiles is a metric of a loss
  loss-quantiles
  Name one, as in loss-quantiles:loss=focal.
""",
    "export loss-share:loss=dice --task segmentation --num-classes 4": """\
error: the metric loss-share is not one of this task and loss
  loss-share:loss=dice, task segmentation: the loss has shape [3], expected one value per label
  Choose another --task or loss.
""",
    "export loss-share:loss=focal:alpha=[1,2] --num-classes 3": """\
error: the loss has another number of classes
  loss-share:loss=focal:alpha=[1,2]: 2 numbers per class, --num-classes 3
  Give one number per class.
""",
    "export brier auroc:num_bins=9 auroc --num-classes 3": """\
error: two artifacts would be called 'auroc'
  brier auroc:num_bins=9 auroc
  Name one of them, as in other=auroc.
""",
    "export focal --rank 1": """\
error: focal has no such rank
  got --rank 1, expected one of 2, 3, 4, 5
  Leave --rank out for all of them.
""",
    "export focal --task binary": """\
error: the loss focal does not fit the task binary
  focal is for multiclass, segmentation
  `evaltool losses --task binary` lists those that do.
""",
    "export ldam": """\
error: there are no labels to count
  --loss ldam
  Give numbers, or --counts with one count per class.
""",
    "export focal:alpha=balanced": """\
error: there are no labels to count
  --loss focal:alpha=balanced
  Give numbers, or --counts with one count per class.
""",
    "export focal --counts 1,x": """\
error: these are no counts
  1,x
  Give a file with one number per class, or numbers as 1,2,0.5.
""",
    "export focal --counts 0,0": """\
error: these are no counts
  0,0: [0.0, 0.0], expected finite numbers >= 0, one of them above 0
  Give how many labels each class has.
""",
    "export focal:alpha=[1,2] --counts 1,2,3": """\
error: alpha of the loss focal is not one number per class
  got 2 numbers, expected 1 or 3 = C
  Give one number per class, in the order of the class indices.
""",
    "export focal focal:gamma=1": """\
error: two artifacts would be called 'focal'
  focal focal:gamma=1
  Name one of them, as in other=focal.
""",
    "export focal:gamma=-1": """\
error: bad parameter of the loss focal
  gamma=-1.0, expected a number in [0, inf)
  It takes gamma, alpha.
""",
    "export focal -o file.txt": """\
error: cannot write here
  file.txt/torchscript/focal: Not a directory
  Choose another folder with -o.
""",
    "verify nothing": """\
error: no such file or folder
  nothing
  Give an artifact, its folder, or a repository.
""",
    "verify file.txt": """\
error: no manifest says what this computes
  file.txt: no manifest.json beside it, above it or in it
  Write the file with evaltool export.
""",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_said_and_nothing_written(cli, typed):
    Path("file.txt").write_text("hello\n")
    before = snapshot()
    result = cli(*typed.split())
    assert result.output == BAD[typed]
    assert result.exit_code == 2
    assert snapshot() == before


def test_class_weights_that_a_loss_does_not_take_are_named(cli):
    result = cli("export", "gce", "l1", "--class-weights", "1,2,3", "--format", "torchscript", "-o", "exported")
    assert result.exit_code == 0
    assert "warning: class weights do not apply to l1\n" in result.stderr


def until_dead(partials):
    """Wait until the writers of partial files are gone, or are zombies."""
    for path in partials:
        stat = Path(f"/proc/{path.name.rpartition('-')[2]}/stat")
        for _ in range(500):
            try:
                if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                    break
            except OSError:
                break
            time.sleep(0.02)


@pytest.mark.parametrize("when", [0.3, 3.0])
def test_killed_export_leaves_no_artifact_under_its_name(tmp_path, when):
    """Whatever stands under an artifact's name is whole; the next export sweeps up what is left."""
    command = [sys.executable, "-m", "evaltool", "export", "focal", "dice", "-o", "m", "--progress", "none"]
    job = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(when)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    until_dead(tmp_path.glob("m/*/.*.partial-*"))  # the folders are the workers', whom nobody here can wait for
    for folder in tmp_path.glob("m/*/[!.]*"):
        assert (folder / "manifest.json").is_file()
        assert list(folder.glob("1/model.*"))
    command += ["--overwrite", "--format", "torchscript"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert not list(tmp_path.glob("m/torchscript/.*"))
