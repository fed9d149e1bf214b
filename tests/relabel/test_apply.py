import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import evaltool
from evaltool.errors import EvaltoolError
from evaltool.relabel import apply
from evaltool.spreadsheets import unguarded

CLASSES = ["cat", "=dog", "3"]
HEADER = "index,id,class,label,suggested,decision,new_label,reviewer,time"


@pytest.fixture
def run(rng, tmp_path):
    """Ten samples with ids, labelled 0 1 2 0 1 2 ..."""
    np.save(tmp_path / "labels.npy", np.arange(10) % 3)
    np.save(tmp_path / "preds.npy", rng.normal(size=(10, 3)).astype(np.float32))
    ids = [f"img{k}" for k in range(10)]
    evaltool.score(
        tmp_path / "preds.npy", tmp_path / "labels.npy", class_names=CLASSES, ids=ids, output=tmp_path / "a.run"
    )
    return tmp_path / "a.run"


def decided(path, *lines, header=HEADER):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def audit(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_labels_change_where_reviewers_say_so(run, tmp_path):
    file = decided(
        tmp_path / "d.csv",
        "0,img0,,cat,'=dog,accept,'=dog,ann,2026-01-02",
        "1,img1,,'=dog,cat,keep,,ann,2026-01-02",
        "2,img2,,3,cat,relabel,'=dog,ann,",
        ",img3,,,,unsure,,ann,",
        "4,,,1,cat,accept,,ann,",
        "5,img5,,3,,skip,,ann,",
        "6,img6,,cat,,,,ann,",
    )
    done = apply(run, file, tmp_path / "fixed.npy")
    assert np.load(tmp_path / "fixed.npy").tolist() == [1, 1, 1, 0, 0, 2, 0, 1, 2, 0]
    assert np.load(tmp_path / "labels.npy").tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert (done.n_decisions, done.n_changed, done.n_kept, done.n_undecided) == (6, 3, 1, 2)
    assert done.wrong[:3] == (3, 4, 0.75)
    assert done.suggestions_right[:2] == (2, 3)
    rows = audit(tmp_path / "fixed.audit.csv")
    assert [(r["index"], r["old"], r["new"], r["applied"], r["reviewer"]) for r in rows] == [
        ("0", "cat", "'=dog", "yes", "ann"),
        ("1", "'=dog", "'=dog", "no", "ann"),
        ("2", "3", "'=dog", "yes", "ann"),
        ("3", "cat", "", "no", "ann"),
        ("4", "'=dog", "cat", "yes", "ann"),
        ("5", "3", "", "no", "ann"),
    ]
    assert rows[0]["source"] == "d.csv, line 2"


def test_a_class_name_goes_before_an_index(run, tmp_path):
    file = decided(tmp_path / "d.csv", "0,accept,3", "1,accept,2", "2,accept,0", header="index,decision,new_label")
    apply(run, file, tmp_path / "fixed.npy")
    assert np.load(tmp_path / "fixed.npy")[:3].tolist() == [2, 2, 0]


@pytest.fixture
def numbered(rng, tmp_path):
    """Six samples, labelled 0 1 2 0 1 2, of classes called 1, 2 and 3."""
    np.save(tmp_path / "labels.npy", np.arange(6) % 3)
    np.save(tmp_path / "preds.npy", 4 * np.eye(3)[(np.arange(6) + 1) % 3].astype(np.float32))
    names, run = ["1", "2", "3"], tmp_path / "a.run"
    evaltool.score(tmp_path / "preds.npy", tmp_path / "labels.npy", class_names=names, preds_are="logits", output=run)
    return run


def test_numbers_that_are_names_are_never_indices(numbered, tmp_path):
    file = decided(tmp_path / "d.csv", "0,relabel,2", "1,relabel,1", "2,keep,", header="index,decision,new_label")
    done = apply(numbered, file, tmp_path / "fixed.npy")
    assert np.load(tmp_path / "fixed.npy").tolist() == [1, 0, 2, 0, 1, 2]
    assert done.notes == ["A number in new_label was read as the name of a class, not as its index."]
    file = decided(tmp_path / "e.csv", "0,relabel,0", header="index,decision,new_label")
    with pytest.raises(EvaltoolError) as error:
        apply(numbered, file, tmp_path / "again.npy")
    assert str(error.value) == (
        "a class is not in the list\n  e.csv, line 2: '0', expected one of 1, 2, 3\n"
        "  The classes are called by numbers that are not their indices: write the name of the class."
    )


def test_a_list_of_mine_with_a_column_of_decisions_is_read_by_its_names(numbered, tmp_path):
    evaltool.mine(numbered, top=4, by="ce", output=tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"label", "label_name", "suggested_name"} <= rows[0].keys()
    with (tmp_path / "d.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0], "decision"])
        table.writeheader()
        table.writerows(row | {"decision": "accept"} for row in rows)
    apply(numbered, tmp_path / "d.csv", tmp_path / "fixed.npy")
    expected = np.arange(6) % 3
    for row in rows:
        expected[int(row["index"])] = (expected[int(row["index"])] + 1) % 3
    np.testing.assert_array_equal(np.load(tmp_path / "fixed.npy"), expected)


NASTY_IDS = ["a;'=b", "=1+1", "'=x", "''", "'tis", "-5", "@a;+b", 'q"u,o', "line\nbreak", "＝w", "a;b", " =s", "t\tb"]


def test_ids_of_a_list_come_back_as_they_are(tmp_path):
    n = len(NASTY_IDS)
    preds = np.zeros((n, 2), np.float32)
    scores = evaltool.score(preds, np.zeros(n, int), task="multiclass", preds_are="logits", ids=NASTY_IDS)
    evaltool.mine(scores, top=n, by="ce", output=tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as file:
        cells = [row["id"] for row in csv.DictReader(file)]
    assert cells != NASTY_IDS
    with (tmp_path / "d.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "decision", "new_label"], *([cell, "relabel", 1] for cell in cells)])
    assert apply(scores, tmp_path / "d.csv", tmp_path / "fixed.npy", labels=np.zeros(n, int)).n_changed == n
    assert [unguarded(row["id"]) for row in audit(tmp_path / "fixed.audit.csv")] == NASTY_IDS


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("10,,,,,keep,,,", "not in the run\n  d.csv, line 2: 10"),
        ("-1,,,,,keep,,,", "not in the run\n  d.csv, line 2: -1"),
        (",nobody,,,,keep,,,", "not in the run\n  d.csv, line 2: nobody"),
        (",,,,,keep,,,", "neither id nor index"),
        ("1,img2,,,,keep,,,", "id and index are of different samples"),
        (
            "1,img1,,,,accept,horse,,",
            "a class is not in the list\n  d.csv, line 2: 'horse', expected one of cat, =dog, 3",
        ),
        ("1,img1,,,,accept,7,,", "a class is not in the list"),
        ("1,img1,,,,accept,,,", "there is no new label"),
        ("1,img1,,,,agree,,,", "this is no decision"),
        ("1,img1,,cat,,keep,,,", "index 1 was 'cat', and is '=dog'"),
        ("1,img1,,horse,,keep,,,", "the label is not the one that was reviewed"),
        ("1,img1,keep", "another number of cells"),
        ("", "there are no decisions"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(line, message, run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    file = decided(tmp_path / "d.csv", line)
    with pytest.raises(EvaltoolError) as error:
        apply(run, file, tmp_path / "fixed.npy")
    assert message in str(error.value)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, file])


def test_labels_that_changed_since_are_refused(run, tmp_path):
    np.save(tmp_path / "labels.npy", np.zeros(10, np.int64))
    file = decided(tmp_path / "d.csv", "1,img1,,,,keep,,,")
    with pytest.raises(EvaltoolError, match="the labels are not those that were scored"):
        apply(run, file, tmp_path / "fixed.npy")
    assert not (tmp_path / "fixed.npy").exists()


def test_nothing_is_replaced_unasked(run, tmp_path):
    file = decided(tmp_path / "d.csv", "1,img1,,,,accept,cat,,")
    (tmp_path / "fixed.audit.csv").write_text("mine")
    with pytest.raises(EvaltoolError, match="the output exists"):
        apply(run, file, tmp_path / "fixed.npy")
    assert not (tmp_path / "fixed.npy").exists()
    apply(run, file, tmp_path / "fixed.npy", overwrite=True)
    with pytest.raises(EvaltoolError, match="the output is the old labels"):
        apply(run, file, tmp_path / "labels.npy", overwrite=True)


@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("failing", ["fixed.npy", "fixed.audit.csv"])
def test_labels_and_their_log_appear_together_or_not_at_all(run, tmp_path, monkeypatch, there, failing):
    file = decided(tmp_path / "d.csv", "1,img1,,,,accept,cat,,")
    if there:
        (tmp_path / "fixed.npy").write_text("old labels")
        (tmp_path / "fixed.audit.csv").write_text("old log")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    replace = Path.replace

    def failing_once(self, target):
        if Path(target).name == failing and ".old" not in self.name:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing_once)
    with pytest.raises(EvaltoolError, match="No space left"):
        apply(run, file, tmp_path / "fixed.npy", overwrite=there)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("way", ["error", "majority", "keep"])
def test_conflicts(way, run, tmp_path):
    ann = decided(tmp_path / "a.csv", "0,,,,,accept,3,ann,", "1,,,,,accept,cat,ann,", "2,,,,,keep,,ann,")
    bob = decided(tmp_path / "b.csv", "0,,,,,accept,3,bob,", "1,,,,,keep,,bob,", "2,,,,,keep,,bob,")
    eve = decided(tmp_path / "c.csv", "0,,,,,keep,,eve,", "1,,,,,unsure,,eve,", "2,,,,,keep,,eve,")
    files = [ann, bob, eve]
    if way == "error":
        with pytest.raises(EvaltoolError) as error:
            apply(run, files, tmp_path / "fixed.npy")
        assert (
            "reviewers disagree (2 labels)\n  index 0: ann: 3, bob: 3, eve: cat\n  index 1: ann: cat, bob: =dog"
            in str(error.value)
        )
        return
    done = apply(run, files, tmp_path / "fixed.npy", on_conflict=way)
    assert np.load(tmp_path / "fixed.npy")[:3].tolist() == [2 if way == "majority" else 0, 1, 2]
    assert (done.n_conflicts, done.n_reviewed) == (2, 3)
    assert done.agreement[:2] == (1 + 0 + 3, 3 + 1 + 3)
    assert done.kappa_of == "Fleiss"


def test_two_reviewers_have_cohens_kappa(run, tmp_path, rng):
    from sklearn.metrics import cohen_kappa_score

    said = rng.integers(0, 3, (2, 10))
    said[1, :6] = said[0, :6]
    files = [
        decided(
            tmp_path / f"{who}.csv",
            *(f"{k},relabel,{CLASSES[said[r, k]]},{who}" for k in rng.permutation(10)),
            header="index,decision,new_label,reviewer",
        )
        for r, who in enumerate(["ann", "bob"])
    ]
    done = apply(run, files, tmp_path / "fixed.npy", on_conflict="keep")
    assert done.kappa_of == "Cohen"
    assert done.kappa == pytest.approx(cohen_kappa_score(*said))
    assert done.agreement[:2] == (int((said[0] == said[1]).sum()), 10)


def test_the_last_word_of_a_reviewer_counts(run, tmp_path):
    file = decided(
        tmp_path / "d.csv",
        "0,,,,,accept,3,ann,2026-01-03",
        "0,,,,,keep,,ann,2026-01-02",
    )
    done = apply(run, file, tmp_path / "fixed.npy")
    assert np.load(tmp_path / "fixed.npy")[0] == 2
    assert "Replaced by later ones of the same reviewer: 1, of index 0." in done.notes


def test_without_times_nobody_knows_the_last_word(run, tmp_path):
    file = decided(tmp_path / "d.csv", "1,,,,,accept,3,ann,", "1,,,,,accept,cat,ann,")
    with pytest.raises(EvaltoolError, match="reviewers disagree"):
        apply(run, file, tmp_path / "fixed.npy")


def test_files_of_one_name_are_two_reviewers(run, tmp_path):
    files = []
    for folder, label in (("a", "3"), ("b", "cat")):
        (tmp_path / folder).mkdir()
        files.append(decided(tmp_path / folder / "d.csv", f"1,,,,,accept,{label},,2026-01-0{len(files) + 1}"))
    with pytest.raises(EvaltoolError, match="reviewers disagree"):
        apply(run, files, tmp_path / "fixed.npy")
    assert not (tmp_path / "fixed.npy").exists()


def test_semicolons_of_excel_are_read(run, tmp_path):
    (tmp_path / "d.csv").write_text("index;decision;new_label\r\n1;accept;cat\r\n")
    apply(run, tmp_path / "d.csv", tmp_path / "fixed.npy")
    assert np.load(tmp_path / "fixed.npy")[1] == 0


def test_integers_of_tables_with_gaps_are_read(run, tmp_path):
    file = decided(tmp_path / "d.csv", "1.0,relabel,0.0", "2.0,keep,", header="index,decision,new_label")
    apply(run, file, tmp_path / "fixed.npy")
    assert np.load(tmp_path / "fixed.npy")[:3].tolist() == [0, 0, 2]


def test_a_column_that_is_there_twice_is_refused(run, tmp_path):
    file = decided(tmp_path / "d.csv", "1,keep,accept", header="index,decision,decision")
    with pytest.raises(EvaltoolError, match=r"a column is there twice\n  .*d.csv: decision\n"):
        apply(run, file, tmp_path / "fixed.npy")


def test_deep_json_is_an_error(run, tmp_path):
    (tmp_path / "d.json").write_text("[" * 100_000)
    with pytest.raises(EvaltoolError, match="this is no JSON"):
        apply(run, tmp_path / "d.json", tmp_path / "fixed.npy")


def test_an_id_is_never_cut_to_fit_another(tmp_path):
    scores = evaltool.score(np.eye(3, dtype=np.float32), np.arange(3), task="multiclass", ids=["v1", "img", "x"])
    for name in ("v1.5", "v1.png", "other/img.2024"):
        (tmp_path / "d.csv").write_text(f"id,decision,new_label\n{name},relabel,2\n")
        with pytest.raises(EvaltoolError, match="these samples are not in the run"):
            apply(scores, tmp_path / "d.csv", tmp_path / "fixed.npy", labels=np.arange(3))


def test_a_class_that_the_labels_cannot_hold_is_named(tmp_path):
    preds = np.zeros((2, 300), np.float32)
    scores = evaltool.score(preds, np.array([0, 1], np.uint8), task="multiclass", preds_are="logits")
    (tmp_path / "d.csv").write_text("index,decision,new_label\n0,relabel,290\n")
    with pytest.raises(EvaltoolError, match="class 290 in uint8, which ends at 255"):
        apply(scores, tmp_path / "d.csv", tmp_path / "fixed.npy", labels=np.array([0, 1], np.uint8))
    assert not (tmp_path / "fixed.npy").exists()


def test_random_controls_give_the_base_rate(run, tmp_path):
    file = decided(
        tmp_path / "d.csv",
        *(
            f"{k},,,,,{'accept' if k in (0, 1, 5) else 'keep'},3,ann,".replace("keep,3", "keep,")
            for k in range(8)
            if k != 2
        ),
    )
    key = tmp_path / "list.csv.controls.csv"
    key.write_text("index,control\n" + "".join(f"{k},{int(k >= 4)}\n" for k in range(10)))
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy")[[0, 1, 5]], [0, 1, 2])
    done = apply(run, file, tmp_path / "fixed.npy", controls=key)
    # index 5 was 3 already: accepted and unchanged
    assert done.wrong_mined[:2] == (2, 3)
    assert done.wrong_controls[:2] == (0, 4)
    assert done.lift is None
    key.write_text("index,control\n0,1\n")
    with pytest.raises(EvaltoolError, match="the key of the controls is of another list"):
        apply(run, file, tmp_path / "again.npy", controls=key)
    key.write_text("index\n0\n")
    with pytest.raises(EvaltoolError, match="this is no key of random controls"):
        apply(run, file, tmp_path / "again.npy", controls=key)


# forms of labels


@pytest.mark.parametrize("dtype", ["int64", "uint8", ">i4", "float32", "fortran", "column"])
def test_dtype_shape_and_order_stay(dtype, rng, tmp_path):
    labels = np.arange(6) % 3
    if dtype == "column":
        labels = labels[:, None]
    elif dtype != "fortran":
        labels = labels.astype(dtype)
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "preds.npy", rng.normal(size=(6, 3)).astype(np.float32))
    evaltool.score(tmp_path / "preds.npy", tmp_path / "labels.npy", task="multiclass", output=tmp_path / "a.run")
    file = decided(tmp_path / "d.csv", "4,relabel,2", header="index,decision,new_label")
    apply(tmp_path / "a.run", file, tmp_path / "fixed.npy")
    fixed = np.load(tmp_path / "fixed.npy")
    expected = labels.copy()
    expected[4] = 2
    assert fixed.dtype == labels.dtype
    np.testing.assert_array_equal(fixed, expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_multilabel_changes_one_class(order, rng, tmp_path):
    labels = np.asarray(rng.integers(0, 2, (5, 3)).astype(np.int8), order=order)
    labels[1] = [0, 1, 0]
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "preds.npy", rng.normal(size=(5, 3)).astype(np.float32))
    evaltool.score(
        tmp_path / "preds.npy",
        tmp_path / "labels.npy",
        task="multilabel",
        class_names=CLASSES,
        output=tmp_path / "a.run",
    )
    file = decided(
        tmp_path / "d.csv", "1,,cat,absent,1,accept,,ann,", "1,,'=dog,1,0,accept,0,ann,", "1,,3,0,,keep,,ann,"
    )
    apply(tmp_path / "a.run", file, tmp_path / "fixed.npy")
    fixed = np.load(tmp_path / "fixed.npy")
    labels[1] = [1, 0, 0]
    np.testing.assert_array_equal(fixed, labels)
    assert fixed.flags.f_contiguous == (order == "F")
    with pytest.raises(EvaltoolError, match="which class is this about"):
        apply(tmp_path / "a.run", decided(tmp_path / "e.csv", "1,,,,,keep,,,"), tmp_path / "again.npy")


def test_binary_and_one_hot_labels(rng, tmp_path):
    scores = evaltool.score(rng.normal(size=6), np.array([0, 1, 0, 1, 0, 1], np.float32), task="binary")
    file = decided(tmp_path / "d.csv", "2,relabel,1", header="index,decision,new_label")
    apply(scores, file, tmp_path / "binary.npy", labels=np.array([0, 1, 0, 1, 0, 1], np.float32))
    assert np.load(tmp_path / "binary.npy").tolist() == [0, 1, 1, 1, 0, 1]
    one_hot = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    scores = evaltool.score(rng.normal(size=(4, 3)), one_hot, task="multiclass")
    apply(scores, file, tmp_path / "one_hot.npy", labels=one_hot)
    np.testing.assert_array_equal(np.load(tmp_path / "one_hot.npy"), np.eye(3)[[0, 1, 1, 0]])


def test_labels_from_memory_have_to_be_given_to_a_saved_run(rng, tmp_path):
    scores = evaltool.score(rng.normal(size=(4, 3)), np.array([0, 1, 2, 0]))
    file = decided(tmp_path / "d.csv", "2,keep", header="index,decision")
    apply(scores, file, tmp_path / "fixed.npy")
    assert np.load(tmp_path / "fixed.npy").tolist() == [0, 1, 2, 0]
    with pytest.raises(EvaltoolError, match="the labels of this run came from memory"):
        apply(scores.save(tmp_path / "a.run"), file, tmp_path / "again.npy")


def test_regression_has_no_classes(rng, tmp_path):
    scores = evaltool.score(rng.normal(size=4), rng.normal(size=4), task="regression")
    with pytest.raises(EvaltoolError, match="no classes to relabel"):
        apply(scores, decided(tmp_path / "d.csv", "2,,,,,keep,,,"), tmp_path / "fixed.npy")


# the command


def test_the_command_prints_the_outcome_and_what_is_next(run, tmp_path, cli):
    decided(tmp_path / "d.csv", "0,img0,,cat,'=dog,accept,'=dog,ann,", "1,img1,,,,keep,,ann,")
    result = cli("relabel", "apply", "a.run", "d.csv", "-o", "fixed.npy")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "decisions: 2 on 2 labels, by ann (2)\n"
        "labels: 1 changed, 1 kept, 0 undecided, 0 in conflict\n"
        "wrong labels: 1 of 2 = 50.0% (95% interval 9.5% to 90.5%)\n"
        "suggestion right, of the wrong ones: 1 of 1 = 100.0% (95% interval 20.7% to 100.0%)\n"
        "written: fixed.npy, fixed.audit.csv\n"
        "\n"
        "next:\n"
        f"  evaltool score {tmp_path}/preds.npy fixed.npy --class-names cat,=dog,3 --ids '<ids>' -o NEW.run\n"
        "  evaltool report a.run --compare NEW.run\n"
    )
    result = cli("relabel", "apply", "a.run", "d.csv", "-o", "fixed.npy", "--overwrite", "--json")
    assert json.loads(result.stdout)["wrong"]["hits"] == 1
    result = cli("score", "preds.npy", "fixed.npy", "-o", "new.run")
    assert result.exit_code == 0, result.output


def test_the_next_command_scores_as_the_run_was_scored(tmp_path, rng, cli, saved):
    saved(rng.normal(size=(4, 3)), np.array([0, 1, 7, 2]))
    (tmp_path / "my classes.txt").write_text("a\nb\nc\n")
    options = ["--loss", "focal:gamma=3", "--ignore-index", 7, "--class-names", "my classes.txt"]
    assert cli("score", "preds.npy", "labels.npy", *options).exit_code == 0
    decided(tmp_path / "d.csv", "2,relabel,c", header="index,decision,new_label")
    result = cli("relabel", "apply", "preds.run", "d.csv", "-o", "fixed.npy")
    assert result.exit_code == 0, result.output
    assert "fixed.npy --loss focal:gamma=3 --ignore-index 7 --class-names 'my classes.txt' -o NEW.run" in result.stdout
    assert np.load(tmp_path / "fixed.npy").tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("averaged", [False, True], ids=["one", "averaged"])
def test_the_next_commands_work_as_they_are_printed(tmp_path, rng, cli, saved, averaged):
    labels = np.arange(40) % 3
    saved((rng.normal(size=(40, 3)) + 3 * np.eye(3)[labels]).astype(np.float32), np.roll(labels, 1))
    np.save("more preds.npy", rng.normal(size=(40, 3)).astype(np.float32))
    words = ["--average", "preds.npy", "more preds.npy"] if averaged else ["preds.npy"]
    assert cli("score", *words, "labels.npy", "--preds-are", "logits", "-o", "my old.run").exit_code == 0
    right = [f"{i},relabel,{label}" for i, label in enumerate(labels)]
    decided(tmp_path / "d.csv", *right, header="index,decision,new_label")
    result = cli("relabel", "apply", "my old.run", "d.csv", "-o", "fixed.npy")
    commands = [shlex.split(line) for line in result.stdout.partition("next:\n")[2].splitlines()]
    assert [command[:2] for command in commands] == [["evaltool", "score"], ["evaltool", "report"]]
    for command in commands:
        done = cli(*command[1:])
        assert done.exit_code == 0, done.output
    old, new = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("my old.run", "NEW.run"))
    assert old["accuracy"] < new["accuracy"]
    # from the old labels to the new ones, not the reverse
    assert f"Accuracy went from {old['accuracy']:.4f} to {new['accuracy']:.4f} (+" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.txt", "x", "these are no decisions"),
        ("d.csv", "a,b\n1,2\n", "columns 'a', 'b', expected decision, index or id"),
        ("d.csv", "", "columns none"),
        ("d.csv", b"\xff\xfe\x00", "this is no CSV"),
        ("d.json", "{", "this is no JSON"),
        ("d.json", "{}", "this is no export of Label Studio"),
        ("d.json", '[{"data": {}, "annotations": [{"result": []}]}]', "no index or sample_id"),
        (
            "d.json",
            '[{"data": {"index": 1}, "annotations": [{"result": [{"from_name": "label"}]}]}]',
            "not as Label Studio",
        ),
        ("d.xml", "<a", "this is no XML"),
        ("d.xml", "<a/>", "this is no export of CVAT for images"),
        ("d.xml", "<annotations><track/></annotations>", "tracks of a video"),
        ("d.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "defines entities"),
        ("d.xml", "<annotations><image/></annotations>", "not as CVAT exports it"),
        ("d.zip", b"PK", "this is no export of CVAT"),
    ],
)
def test_other_files_are_refused(name, content, message, run, tmp_path, cli):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    result = cli("relabel", "apply", "a.run", name, "-o", "fixed.npy")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "fixed.npy").exists()
