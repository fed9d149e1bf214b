"""Measures how many flipped labels ``evaltool mine`` and cleanlab find, and prints it; see ``scripts/mining``."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import evaltool
from evaltool.mine.job import mine

from .settings import BESIDE, SETTINGS, flawed, out_of_fold, precision_at_flips

SEEDS = (201, 202, 203)
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def evaltool_order(probs, labels):
    """Return the rows as ``evaltool mine --by label-error`` lists them, and the expected number of errors."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/preds.npy", probs)
        np.save(f"{folder}/labels.npy", labels)
        run = Path(folder) / "preds.run"
        evaltool.score(f"{folder}/preds.npy", f"{folder}/labels.npy", preds_are="probs", losses=["ce"], output=run)
        mined = mine(run, by="label-error", fraction=1.0)
    return mined.table["index"].to_numpy(), mined.n_expected_errors, mined.table["suggested"].to_numpy()


def cleanlab_orders(probs, labels):
    """Return the rows by each of cleanlab's label quality scores, worst first."""
    from cleanlab.rank import get_label_quality_scores

    return {
        method: np.argsort(
            get_label_quality_scores(labels, probs, method=method, adjust_pred_probs=False), kind="stable"
        )
        for method in CLEANLAB
    }


def measured(setting, seed):
    """Return P@k by method, of single and of averaged probabilities, and expected over true number of errors."""
    x, labels, flipped = flawed(setting, seed)
    results = []
    for probs in out_of_fold(x, labels, seed):
        order, expected, _ = evaltool_order(probs, labels)
        found = {"evaltool": precision_at_flips(order, flipped), "expected/true": expected / flipped.sum()}
        for method, rows in cleanlab_orders(probs, labels).items():
            found[method] = precision_at_flips(rows, flipped)
        results.append(found)
    return results


def say(line):
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def main():
    """Print P@k by setting and method, means over the seeds."""
    torch.set_num_threads(1)
    columns = ("evaltool", *CLEANLAB, "expected/true")
    rows = {}
    for setting in (*SETTINGS, *BESIDE):
        sys.stderr.write(f"training: {setting}\n")
        seeds = [measured(setting, seed) for seed in SEEDS]
        rows[setting] = [[np.mean([seed[i][name] for seed in seeds]) for name in columns] for i in (0, 1)]
    for i, title in enumerate(("one checkpoint", "averaged checkpoints")):
        say(f"\n| {title} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
        for setting, values in rows.items():
            say(f"| {setting} | {' | '.join(f'{value:.3f}' for value in values[i])} |")
        counted = [rows[setting][i] for setting in SETTINGS]
        means = np.mean(counted, axis=0)
        say(f"| mean of the first {len(SETTINGS)} | {' | '.join(f'{value:.3f}' for value in means)} |")
        ahead = sum(values[0] > max(values[1:4]) for values in counted)
        say(f"\nahead of cleanlab's best score in {ahead} of these {len(SETTINGS)}")


if __name__ == "__main__":
    main()
