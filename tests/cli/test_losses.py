"""evaltool losses: the catalogue on a terminal, in a pipe and as JSON."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from evaltool.catalogue import CATALOGUE, METRICS, parse_spec
from evaltool.schema import TASKS

from ..conftest import ROOT
from .test_score import read_all

EVALTOOL = [sys.executable, "-m", "evaltool"]
NOTATION = """\
y is the label and p the probability of label 1; t is the class of the label and
p_t its probability; w and w_t are the weight of the class. What has a value per
position is averaged over the sample's valid positions.
"""
# what is typed after `evaltool losses`: what is shown above the notation
SHOWN = {
    "focal": """\
focal  FocalLoss
  formula     alpha_t (1 - p_t)^gamma (-log p_t)
  parameters  gamma=2, alpha=none
  from labels alpha=balanced
  tasks       multiclass, segmentation
  source      Lin 2017, arXiv:1708.02002

""",
    "balanced-ce l1": """\
balanced-ce  BalancedCrossEntropyLoss
  formula     -(b y log p + (1 - b) (1 - y) log(1 - p)), b = beta, or 1 -
              mean(y) over the sample where beta is none
  parameters  beta=none
  tasks       binary (with beta), multilabel, segmentation (one foreground
              class)
  source      Xie 2015, arXiv:1504.06375

l1  L1Loss
  formula     |p - y|
  tasks       regression

""",
    "ohem-ce": """\
ohem-ce  OhemCrossEntropyLoss
  formula     (sum of bce over the k positives and the m negatives where it is
              largest) / (k + m + eps), m = min(negatives, negative_ratio k)
  parameters  negative_ratio=3, eps=0
  tasks       multilabel (no soft labels), segmentation (one foreground class)
  source      Liao 2020, arXiv:1911.08947

""",
    "bce logit-adjusted dice --task segmentation": """\
bce  BinaryCrossEntropyLoss
  formula     -w (pos_weight y log p + neg_weight (1 - y) log(1 - p))
  parameters  pos_weight=none, neg_weight=none, weight=none
  from labels weight=balanced (multilabel)
  tasks       binary, multilabel, segmentation (one foreground class)

logit-adjusted  LogitAdjustedLoss
  formula     ce of the logits + tau log(prior), prior as shares
  parameters  prior=none, tau=1, weight=none
  from labels prior, unless given, weight=balanced
  tasks       multiclass (soft labels too), segmentation
  source      Menon 2021, arXiv:2007.07314

dice  DiceLoss
  formula     1 - (2 sum(p y) + smooth_nr) / (sum(p^k) + sum(y^k) + smooth_dr),
              k = 2 if squared else 1; sums over positions, mean over classes;
              without positions, sums over classes
  parameters  smooth_nr=1, smooth_dr=1, squared=false, classes=present
  tasks       multiclass (soft labels too), binary, multilabel, segmentation
  source      Milletari 2016, arXiv:1606.04797; Li 2020, arXiv:1911.02855

""",
}


@pytest.mark.parametrize("typed", SHOWN)
def test_what_is_shown_of_a_loss(cli, typed):
    result = cli("losses", *typed.split())
    assert result.output == SHOWN[typed] + NOTATION
    assert result.exit_code == 0


def test_what_is_shown_of_metrics(cli):
    result = cli("losses", "--metrics", "cohen-kappa", "loss-quantiles")
    assert (
        result.output
        == """\
cohen-kappa  CohenKappa
  formula     1 - n sum w c / sum w t p, c the confusion matrix, w 0 where right
              and else 1 or by distance
  parameters  weights=none, threshold=0.5
  tasks       multiclass, binary, segmentation
  source      Cohen 1960; Cohen 1968

loss-quantiles  LossQuantiles
  formula     loss at rank floor(q (n - 1)), within 1/32 of itself
  parameters  at=0.5,0.9,0.99
  of a loss   loss=SPEC
  tasks       multiclass, binary, multilabel, segmentation, regression

n is how many positions are counted, h the hits of a class, t how many are
labelled and p how many predicted as it. A segmentation is multiclass to a
metric or, of one foreground class, binary.
"""
    )


def test_every_metric_is_listed(cli):
    records = json.loads(cli("losses", "--metrics", "--json").stdout)
    assert [record["name"] for record in records] == list(METRICS)
    assert {len(record) for record in records} == {7}


# what is typed after `evaltool losses`: what is said
WRONG = {
    "focal fcal": """\
error: no loss is called 'fcal'
  evaltool losses focal fcal
  Did you mean focal? `evaltool losses` lists them.
""",
    "iou": """\
error: no loss is called 'iou'
  evaltool losses iou
  Did you mean jaccard? `evaltool losses` lists them.
""",
    "--metrics ece": """\
error: no metric is called 'ece'
  evaltool losses ece --metrics
  Did you mean calibration-error? `evaltool losses --metrics` lists them.
""",
    "--metrics cohen-kappa --task multilabel": """\
error: none of these metrics fits the task multilabel
  cohen-kappa
  `evaltool losses --metrics --task multilabel` lists those that do.
""",
    "bce binary-focal --task multiclass": """\
error: none of these losses fits the task multiclass
  bce, binary-focal
  `evaltool losses --task multiclass` lists those that do.
""",
}


@pytest.mark.parametrize("typed", WRONG)
def test_what_cannot_be_shown(cli, typed):
    result = cli("losses", *typed.split())
    assert result.stderr == WRONG[typed]
    assert result.stdout == ""
    assert result.exit_code == 2


def listed(text):
    """Return the names of the losses that a listing shows."""
    return [line.split()[0] for line in text.splitlines() if line.endswith("Loss")]


@pytest.mark.parametrize("task", TASKS)
def test_losses_of_a_task(cli, task):
    expected = [name for name, entry in CATALOGUE.items() if task in entry.tasks]
    assert listed(cli("losses", "--task", task).stdout) == expected
    assert [row["name"] for row in json.loads(cli("losses", "--task", task, "--json").stdout)] == expected


def test_json_says_what_the_catalogue_says(cli):
    rows = json.loads(cli("losses", "--json").stdout)
    assert [row["name"] for row in rows] == list(CATALOGUE)
    for row in rows:
        entry = CATALOGUE[row["name"]]
        assert (row["class"], row["kind"], row["formula"]) == (entry.class_name, entry.kind, entry.formula)
        assert (row["parameters"], row["source"]) == (entry.parameters, entry.source)
        assert (row["tasks"], row["soft_labels"]) == (list(entry.tasks), entry.soft_labels)
        assert row["zero_or_one"] == entry.zero_or_one
    assert {row["name"]: row["from_labels"] for row in rows if len(row["from_labels"]) > 1} == {
        "binary-focal": {"alpha": [], "weight": ["sigmoids"]},
        "ova-focal": {"alpha": [], "weight": []},
        "logit-adjusted": {"prior": [], "weight": []},
        "ldam": {"counts": [], "weight": []},
        "seesaw": {"counts": [], "weight": []},
    }


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "focal-tversky"])
def test_parameters_are_shown_as_a_spec_takes_them(cli, name):
    """focal-tversky's gamma of 4/3 has more digits than are shown."""
    text = cli("losses", name).stdout.replace("\n              ", " ")
    shown = [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith("  parameters")]
    spec = parse_spec(f"{name}:{shown[0].replace(', ', ',')}" if shown else name)
    assert spec.parameters == CATALOGUE[name].parameters


@pytest.mark.parametrize(("columns", "widest"), [(None, 80), ("50", 50), ("200", 80)])
def test_a_pipe_gets_at_most_80_columns_and_no_colour(columns, widest):
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {} if columns is None else {"COLUMNS": columns}
    result = subprocess.run([*EVALTOOL, "losses"], env=environment, capture_output=True, text=True, check=True)
    assert listed(result.stdout) == list(CATALOGUE)
    assert max(map(len, result.stdout.splitlines())) <= widest
    assert "\x1b" not in result.stdout


def test_a_terminal_gets_80_columns_and_the_names_in_bold():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80"}
    process = subprocess.Popen([*EVALTOOL, "losses"], stdout=theirs, env=environment)
    os.close(theirs)
    seen = read_all(ours)
    assert process.wait() == 0
    assert "\x1b[1mfocal-tversky\x1b[0m  FocalTverskyLoss\r\n" in seen
    plain = seen.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert max(map(len, plain.splitlines())) <= 80


def test_the_catalogue_is_shown_without_anything_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from evaltool.cli import main\n"
        "print([CliRunner().invoke(main, ['losses', *words]).exit_code for words in ([], ['--json'], ['fcal'])])\n"
        "print([name for name in ('torch', 'numpy', 'pyarrow', 'rich') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[0, 0, 2]\n[]\n"


def test_the_readme_names_every_loss():
    """Each in the row of its kind, in the catalogue's order."""
    rows = [line.split("|") for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| a ")]
    named = {row[1].strip(): re.findall("`(.+?)`", row[2]) for row in rows}
    kinds = {"softmax": "a softmax", "sigmoid": "a sigmoid", "either": "a softmax or sigmoids", "real": "a real number"}
    for kind, title in kinds.items():
        assert named[title] == [name for name, entry in CATALOGUE.items() if entry.kind == kind]
