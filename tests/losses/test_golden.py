"""The published values, through the public modules."""

import pytest
import torch

from evaltool.losses import (
    BalancedCrossEntropyLoss,
    BinaryCrossEntropyLoss,
    BinaryFocalLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    L1Loss,
    OhemCrossEntropyLoss,
    OneVsAllFocalLoss,
)
from evaltool.weights import class_weights, prior_bias

# golden name: how to compute it from its inputs
CASES = {
    "ce_mean": lambda x: CrossEntropyLoss(reduction="mean")(x["logits"], x["labels"]),
    "ce_per_sample": lambda x: CrossEntropyLoss()(x["logits"], x["labels"]),
    "bce_mean": lambda x: BinaryCrossEntropyLoss(reduction="mean")(x["logits"], x["labels"]),
    "binary_focal_retinanet_mean": lambda x: BinaryFocalLoss(gamma=0.2, alpha=0.6, reduction="mean")(
        x["logits"], x["labels"]
    ),
    "binary_focal_uniform_alpha_mean": lambda x: BinaryFocalLoss(gamma=2, alpha=(0.25, 0.25), reduction="mean")(
        x["logits"], x["labels"]
    ),
    "binary_focal_uniform_alpha_elements": lambda x: BinaryFocalLoss(gamma=2, alpha=(0.25, 0.25)).map(
        x["logits"], x["labels"]
    ),
    "softmax_focal_per_sample": lambda x: FocalLoss(gamma=2)(x["logits"], x["labels"]),
    "softmax_focal_alpha_per_sample": lambda x: FocalLoss(gamma=2, alpha=[0.25, 0.5, 1.5])(x["logits"], x["labels"]),
    "softmax_focal_uniform_alpha_mean": lambda x: FocalLoss(gamma=2, alpha=0.25, reduction="mean")(
        x["logits"], x["labels"]
    ),
    "dice_squared_per_sample": lambda x: DiceLoss(squared=True, smooth_nr=0, smooth_dr=0.002, preds_are="probs")(
        x["probs"], x["labels"]
    ),
    "balanced_ce_sum_per_sample": lambda x: (
        BalancedCrossEntropyLoss(preds_are="probs").map(x["probs"], x["labels"]).sum(1)
    ),
    "ohem_balanced_bce_per_sample": lambda x: OhemCrossEntropyLoss(eps=1e-6, preds_are="probs")(
        x["probs"], x["labels"]
    ),
    # counted over the whole batch: one sample
    "ohem_balanced_bce_batch": lambda x: OhemCrossEntropyLoss(eps=1e-6, preds_are="probs")(
        x["probs"].unsqueeze(0), x["labels"].unsqueeze(0)
    )[0],
    "one_vs_all_focal_per_sample": lambda x: OneVsAllFocalLoss(gamma=2, alpha=0.25)(x["logits"], x["labels"]),
    "one_vs_all_focal_mean": lambda x: OneVsAllFocalLoss(gamma=2, alpha=0.25, reduction="mean")(
        x["logits"], x["labels"]
    ),
    "prior_bias": lambda x: prior_bias(x["pi"]),
    "l1_mean": lambda x: L1Loss(reduction="mean")(x["preds"], x["targets"]),
    "enet_weights": lambda x: class_weights(x["class_frequency"], "enet"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_golden_value(golden, name, dtype):
    entry = golden[name]
    inputs = {key: torch.tensor(value) for key, value in entry["inputs"].items()}
    inputs = {key: value.to(dtype) if value.is_floating_point() else value for key, value in inputs.items()}
    expected = torch.tensor(entry["value"], dtype=torch.float64)
    # float32: a few units in the last place of numbers near 1
    torch.testing.assert_close(CASES[name](inputs).double(), expected, rtol=1e-6, atol=1e-7)


def test_every_golden_value_is_reproduced(golden):
    assert set(CASES) == set(golden)
