"""Measures how many flipped labels ``evaltool mine`` and cleanlab find, and prints it; see ``scripts/mining``."""

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

import evaltool
from evaltool.mine.job import mine

from .settings import BESIDE, SETTINGS, flawed, out_of_fold, precision_at_flips

SEEDS = (201, 202, 203)
BINS = (0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1)
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def evaltool_order(probs, labels):
    """Return the rows as `evaltool mine --by label-error` lists them, the expected errors, and how sure it is."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/preds.npy", probs)
        np.save(f"{folder}/labels.npy", labels)
        run = Path(folder) / "preds.run"
        evaltool.score(f"{folder}/preds.npy", f"{folder}/labels.npy", preds_are="probs", losses=["ce"], output=run)
        mined = mine(run, by="label-error", fraction=1.0)
        with np.load(run / "label-errors.npz") as held:
            shift = float(held["shift"])
    order, after = mined.table["index"].to_numpy(), mined.table["p_wrong"].to_numpy().clip(1e-12, 1 - 1e-12)
    before = 1 / (1 + (1 - after) / after * np.exp(shift))
    return order, mined.n_expected_errors, {"posterior": before, "p_wrong": after}


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
    """Return P@k by method, of single and of averaged probabilities, and expected over true number of errors.

    Beside them, of each: pairs (how sure mining was, whether the label was wrong) by what was sure.
    """
    x, labels, flipped = flawed(setting, seed)
    results, sure = [], []
    for probs in out_of_fold(x, labels, seed):
        order, expected, sureness = evaltool_order(probs, labels)
        found = {"evaltool": precision_at_flips(order, flipped), "expected/true": expected / flipped.sum()}
        for method, rows in cleanlab_orders(probs, labels).items():
            found[method] = precision_at_flips(rows, flipped)
        results.append(found)
        sure.append({name: (values, flipped[order]) for name, values in sureness.items()})
    return results, sure


def calibration(title, pairs):
    """Print how sure mining was of labels against the share of wrong ones among them, by bins of the sureness."""
    say(f"\n| {title} | log loss | {' | '.join(f'{low:g} to {high:g}' for low, high in pairwise(BINS))} |")
    say(f"|{'---|' * (len(BINS) + 1)}")
    for name in pairs[0]:
        sure, wrong = (np.concatenate([pair[name][i] for pair in pairs]) for i in (0, 1))
        place = np.clip(np.digitize(sure, BINS) - 1, 0, len(BINS) - 2)
        cells = [f"{sure[place == b].mean():.2f}: {wrong[place == b].mean():.2f}" for b in range(len(BINS) - 1)]
        loss = -np.log(np.where(wrong, sure, 1 - sure)).mean()
        say(f"| {name} | {loss:.3f} | {' | '.join(cells)} |")


def say(line):
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def main():
    """Print P@k by setting and method, means over the seeds."""
    torch.set_num_threads(1)
    columns = ("evaltool", *CLEANLAB, "expected/true")
    rows, sure = {}, {}
    for setting in (*SETTINGS, *BESIDE):
        sys.stderr.write(f"training: {setting}\n")
        seeds, sure[setting] = zip(*(measured(setting, seed) for seed in SEEDS), strict=True)
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
        for tail in (False, True):
            of_seeds = [seed[i] for setting, seeds in sure.items() if setting.tail == tail for seed in seeds]
            calibration(f"{title}, {'long tails' if tail else 'all samples'}: sure, and wrong", of_seeds)


if __name__ == "__main__":
    main()
