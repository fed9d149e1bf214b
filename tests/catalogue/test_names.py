"""What people type for a loss is answered with the loss they mean."""

import pytest

from evaltool.catalogue import CATALOGUE, OTHER_NAMES, unknown_loss


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("CE", "ce"),
        ("CrossEntropyLoss", "ce"),
        ("cross_entropy", "ce"),
        ("categorical_crossentropy", "ce"),
        ("bce_with_logits", "bce"),
        ("BCEWithLogitsLoss", "bce"),
        ("sigmoid_focal_loss", "binary-focal"),
        ("iou", "jaccard"),
        ("asl", "asymmetric"),
        ("poly1", "poly"),
        ("vfl", "varifocal"),
        ("qfl", "quality-focal"),
        ("gdl", "generalized-dice"),
        ("soft-dice", "dice"),
        ("tversky-loss", "tversky"),
        ("DiceCELoss", "dice-ce"),
        ("dice_bce", "dice-ce"),
        ("lovasz_softmax", "lovasz"),
        ("smoothl1", "smooth-l1"),
        ("mae", "l1"),
        ("jacard", "jaccard"),
        ("generalized_dice", "generalized-dice"),
    ],
)
def test_another_name_gets_the_loss(typed, meant):
    assert str(unknown_loss(typed, f"--loss {typed}")) == (
        f"no loss is called {typed!r}\n  --loss {typed}\n  Did you mean {meant}? `evaltool losses` lists them."
    )


@pytest.mark.parametrize("typed", ["bi-tempered", "softmax", "foo", ""])
def test_a_name_that_is_like_no_loss_gets_no_guess(typed):
    assert str(unknown_loss(typed, "")).splitlines()[-1] == "  `evaltool losses` lists them."


def test_several_names_in_one_are_told_apart():
    assert str(unknown_loss("ce,focal", "")).splitlines()[-1] == (
        "  Repeat the option: --loss ce --loss focal. `evaltool losses` lists them."
    )


def test_no_other_name_is_a_loss_or_stands_for_two():
    others = [other for names in OTHER_NAMES.values() for other in names]
    assert len(others) == len(set(others))
    assert not set(others) & set(CATALOGUE)
    assert set(OTHER_NAMES) <= set(CATALOGUE)
