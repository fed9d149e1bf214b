"""Digits with flipped labels: scored, mined, reviewed by two people, mended and compared.

    python examples/relabel.py [DIRECTORY]

8 % of the labels of scikit-learn's digits are replaced by that of a look-alike. Three networks for each fold predict
what they did not see; evaltool averages and scores that, lists the labels that are likely wrong with random ones mixed
in, and makes a page to review them in. Two reviewers then answer for each row of the list from the record of the flips,
which nothing else reads: Ann is always right, Bob errs in 4 % of the rows. What they agree on goes into the labels; the
same predictions are scored against those, the two runs are compared, and networks are trained on both.

The exit status is 1 if anything does not add up: a label that both decided alike is not the true one, another label
changed, a printed number is not that of the record of the flips, or the corrected labels did not help.

DIRECTORY (by default ./relabel) gets all files; review.html opens in a browser.

Needs scikit-learn: pip install 'evaltool[demo,mine,images]'.
"""

import argparse
import contextlib
import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import digits
import numpy as np
import torch
from sklearn.datasets import load_digits

from evaltool.cli import main as evaltool

SEED = 3
FLIPPED = 0.08  # share of the labels
LOOK_ALIKE = np.array([6, 7, 3, 8, 9, 6, 5, 1, 3, 4])  # what each digit is taken for
NETWORKS = 3  # for each fold
CONTROLS = 60
ERRS = 0.04  # share of Bob's answers
TOLERANCE = 1e-9
PREDS = [f"preds_{k}.npy" for k in range(NETWORKS)]
BEGUN = datetime(2026, 1, 2, 9, tzinfo=UTC)
COLUMNS = ("index", "label", "suggested", "decision", "new_label", "reviewer", "time")  # as the gallery saves them


def write_inputs(rng: np.random.Generator) -> None:
    """Write images, labels and predictions as a user would have them, and the record of the flips."""
    data = load_digits()
    images, true = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    labels = true.copy()
    chosen = rng.choice(len(true), round(FLIPPED * len(true)), replace=False)
    labels[chosen] = LOOK_ALIKE[true[chosen]]
    np.save("images.npy", (data.images * 15.9).astype(np.uint8))
    np.save("labels.npy", labels)
    np.save("true_labels.npy", true)
    for path, preds in zip(PREDS, predicted(images, labels), strict=True):
        np.save(path, preds)


def predicted(images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Return logits float32 [N, 10] of each of the networks, trained on these labels without the sample."""
    found = []
    for k in range(NETWORKS):
        torch.manual_seed(SEED + k)
        found.append(digits.out_of_fold(images, labels))
    return found


def run(*words: str, shown: str) -> str:
    """Run evaltool as the shell would, print the command and the lines that start like ``shown``, and return all."""
    print(f"$ evaltool {' '.join(words)}")
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            evaltool([*words], standalone_mode=False)
    except SystemExit as done:
        if done.code:
            say(err.getvalue())
            raise
    said = err.getvalue() + out.getvalue()
    print("\n".join(line for line in said.splitlines() if re.match(shown, line)), end="\n\n")
    return said


def review(reviewer: str, rows: Sequence[Mapping[str, str]], true: np.ndarray, mistaken: np.ndarray) -> None:
    """Write what a reviewer says of each row of a list, as the gallery saves it.

    Args:
        reviewer: who it is.
        rows: of the list.
        true: the true labels of all samples, int64 [N].
        mistaken: bool, of the rows: the reviewer keeps a wrong label, or takes a wrong suggestion.
    """
    with Path(f"{reviewer}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for place, (row, errs) in enumerate(zip(rows, mistaken, strict=True)):
            right = str(true[int(row["index"])])
            says = row["label"] if right != row["label"] else row["suggested"]
            new = says if errs else right
            decision = "keep" if new == row["label"] else "accept" if new == row["suggested"] else "relabel"
            time = (BEGUN + timedelta(seconds=4 * place)).isoformat()
            told = [row["index"], row["label"], row["suggested"], decision, "" if decision == "keep" else new]
            table.writerow(dict(zip(COLUMNS, [*told, reviewer, time], strict=True)))


def reviewed(true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let both reviewers answer; return the list's samples int64 [n], which were drawn by chance, where Bob errs."""
    with Path("list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with Path("list.csv.controls.csv").open(newline="") as file:
        drawn = np.array([row["control"] == "1" for row in csv.DictReader(file)])
    mistaken = np.random.default_rng(SEED).random(len(rows)) < ERRS
    review("ann", rows, true, np.zeros(len(rows), bool))
    review("bob", rows, true, mistaken)
    return np.array([int(row["index"]) for row in rows]), drawn, mistaken


def share(hits: int, total: int) -> str:
    """Return a share as text."""
    return f"{hits} of {total} = {hits / total:.1%}"


def disagreements(said: str, listed: np.ndarray, drawn: np.ndarray, mistaken: np.ndarray) -> list[str]:
    """Return what does not add up in the corrected labels, and in what ``relabel apply`` said.

    Args:
        said: by ``relabel apply``.
        listed: the samples of the list, int64 [n].
        drawn: which of them were drawn by chance, bool [n].
        mistaken: which of them Bob was wrong about, bool [n].
    """
    labels, fixed, true = (np.load(f"{name}.npy") for name in ("labels", "labels_fixed", "true_labels"))
    agreed = listed[~mistaken]
    expected = labels.copy()
    expected[agreed] = true[agreed]
    flipped = labels != true
    wrong = flipped[listed] & ~mistaken
    printed = {
        "wrong among the mined": (wrong & ~drawn, ~drawn & ~mistaken),
        "wrong among the random controls": (wrong & drawn, drawn & ~mistaken),
        "agreement of reviewers": (~mistaken, np.ones(len(listed), bool)),
    }
    failures = [
        f"{name} should be {share(hits.sum(), total.sum())}"
        for name, (hits, total) in printed.items()
        if f"{name}: {share(hits.sum(), total.sum())} " not in said
    ]
    if not np.array_equal(fixed, expected):
        failures.append(f"{int((fixed != expected).sum())} corrected labels are not what both reviewers said")
    return failures


def learned(labels: np.ndarray) -> float:
    """Return how often networks that were trained on these labels predict the true one of other samples."""
    images = (load_digits().data / 16).astype(np.float32)
    logits = np.mean([torch.from_numpy(preds).softmax(1).numpy() for preds in predicted(images, labels)], axis=0)
    return float((logits.argmax(1) == np.load("true_labels.npy")).mean())


def loop() -> list[str]:
    """Go from flipped labels to corrected ones in the current directory; return what does not add up."""
    write_inputs(np.random.default_rng(SEED))
    labels, true = np.load("labels.npy"), np.load("true_labels.npy")
    scoring = ("--preds-are", "logits", "--loss", "ce", "--overwrite")
    run("score", "--average", *PREDS, "labels.npy", "-o", "before.run", *scoring, shown="accuracy")
    page = ("-o", "list.csv", "--gallery", "review.html", "--images", "images.npy", "--overwrite")
    budget = ("--by", "label-error", "--budget", "auto", "--random-controls", str(CONTROLS))
    run("mine", "before.run", *budget, *page, shown=r"expected|\d+ rows|written")
    listed, drawn, mistaken = reviewed(true)
    votes = ("ann.csv", "bob.csv", "--on-conflict", "majority", "--controls", "list.csv.controls.csv")
    said = run(
        *("relabel", "apply", "before.run", *votes, "-o", "labels_fixed.npy", "--overwrite"),
        shown="decisions|labels|wrong|suggestion|agreement|written",
    )
    run("score", "--average", *PREDS, "labels_fixed.npy", "-o", "after.run", *scoring, shown="accuracy")
    report = ("--json", "report.json", "--overwrite")
    run("report", "before.run", "--compare", "after.run", *report, shown="1,797 samples|Accuracy|The mean ce|own")
    failures = disagreements(said, listed, drawn, mistaken)

    flipped = labels != true
    found = int(flipped[listed[~drawn]].sum())
    print(f"by the record of the flips, of the list: {share(found, int((~drawn).sum()))} are flips (precision)")
    print(f"of the flips: {share(found, int(flipped.sum()))} are on the list (recall)")
    fixed = np.load("labels_fixed.npy")
    print(f"wrong labels: {int(flipped.sum())} before, {int((fixed != true).sum())} after")
    before, after = learned(labels), learned(fixed)
    print(f"right, of networks trained on the labels before: {before:.1%}; after: {after:.1%}")
    rates = json.loads(Path("report.json").read_text())["comparison"]["rates"]["accuracy"]
    preds = np.mean([torch.from_numpy(np.load(path)).softmax(1).numpy() for path in PREDS], axis=0).argmax(1)
    for name, given in (("before", labels), ("after", fixed)):
        if abs(rates[name] - (preds == given).mean()) > TOLERANCE:
            failures.append(f"the report's accuracy {name} should be {(preds == given).mean():.4f}")
    if not (rates["difference"]["low"] > 0 and after > before):
        failures.append("the corrected labels did not help")
    return failures


def say(line: str) -> None:
    """Print a line on stderr."""
    print(f"relabel: {line}", file=sys.stderr, flush=True)


def main(directory: Path) -> int:
    """Go through the loop in a directory; return the exit status."""
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(directory):
        failures = loop()
    for failure in failures:
        say(f"failed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIRECTORY", nargs="?", type=Path, default=Path("relabel"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # so small a network gains nothing from more
    sys.exit(main(arguments.directory))
