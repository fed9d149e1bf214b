"""--fail-if: what expressions mean, and what is said of those that mean nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaltool.errors import EvaltoolError
from evaltool.report.gate import Gate
from evaltool.report.gate_names import WORDS, Subject
from evaltool.report.gate_syntax import parse

from .gate_document import document

REPORT = document()
SUBJECT = Subject(names=["cat", "a, b", "min", 'q"x'], losses=["ce", "binary_focal"], sliced=True, compared=True)


def result(expression):
    return Gate(expression, SUBJECT).result(REPORT)


def answer(expression):
    """Return the result, or the text of the error."""
    try:
        return result(expression)
    except EvaltoolError as error:
        return str(error)


VALUES = {
    "accuracy": 0.8,
    "accuracy.low": 0.75,
    "ece": 0.12,
    "ece[cat]": 0.02,
    "brier": 0.2,
    "recall[few]": 0.4,
    "recall[few].high": 0.6,
    "recall[ min ]": 0.4,
    "recall[max]": 0.9,
    "recall[max].low": 0.85,
    "recall[mean]": (0.9 + 0.6 + 0.4) / 3,
    "recall[cat]": 0.9,
    "recall[1]": 0.6,
    'recall["a, b"]': 0.6,
    "recall['a, b'].value": 0.6,
    'recall["min"]': 0.4,
    'count["q\\"x"]': 0,
    "iou[few]": 0.4,
    "average_precision[few]": 0.7,
    "count[few]": 10,
    "mean_loss[min]": 0.0,
    "mean_loss[binary-focal, max]": 4.0,
    "loss_share_ratio[max]": 4.0,
    "loss_share_ratio[binary_focal, few]": 8.0,
    "mean": 0.5,
    "mean[binary_focal]": 0.25,
    "p99[ce]": 4.0,
    "imbalance_ratio": 6.0,
    "prior_shift": 0.1,
    "n_bad": 4,
    "bad_share": 4 / 110,
    "n_scored": 100,
    "n_clamped": 2,
    'accuracy[group="night"]': 0.5,
    "accuracy[group=day]": 0.9,
    "accuracy[worst]": 0.5,
    "mean[worst]": 1.5,
    "mean[ce, group=day]": 0.2,
    "change(accuracy)": -0.05,
    "change(accuracy).high": -0.02,
    "change(mean[ce])": 0.1,
    "change(recall[cat])": 0.1,
    "change(recall[min])": -0.3,
    "change(recall[few])": -0.3,
    "change(recall[few]).low": -0.5,
    "change(precision[few])": 0.25,
    "change(mean_loss[max])": 3.0,
}


@pytest.mark.parametrize("name", VALUES)
def test_a_name_means_its_number(name):
    told = result(f"{name} + 0 > 1e300")  # a sum may be anything
    assert told.values == {name: pytest.approx(VALUES[name])}
    assert not told.failed


@pytest.mark.parametrize(
    ("expression", "fails"),
    [
        ("recall[few] < 50%", True),
        ("recall[few] < 50 % and ece > 10\t%", True),
        ("ece > 13 %", False),
        ("recall[few] < 0.4", False),
        ("not recall[few] < 0.4", True),
        ("ece > 0.1 and recall[few] < 0.3", False),
        ("ece > 0.1 and recall[few] < 0.3 or brier == 0.2", True),
        ("ece > 0.1 and (recall[few] < 0.3 or brier == 0.2)", True),
        ("0.1 < ece < 0.11", False),
        ("-ece + 1 - 0.5*2 / 4 <= .64", True),
        ("max(ece, brier, 1e-3) >= min(2, abs(-3)) / 10", True),
        ("8 - 4 - 2 == 2 and 8 / 4 / 2 == 1 and 2 + 3 * 4 == 14", True),
    ],
)
def test_an_expression_means_what_it_says(expression, fails):
    assert result(expression).failed is fails


@pytest.mark.parametrize(
    "expression",
    ["recall['q\"x'] < 0.5", "average_precision > 0.1", "1 / 0 > 1", "1e308 * 10 > 1", "not recall[3] < 0.5"],
)
def test_what_cannot_be_told_does_not_pass(expression):
    told = result(expression)
    assert told.failed
    assert not told.known
    assert "cannot be told" in told.message


def test_what_is_not_known_does_not_matter_where_the_rest_decides():
    assert not result("recall[3] < 0.5 and ece > 0.5").failed
    told = result("recall[3] < 0.5 or ece > 0.1")
    assert (told.failed, told.known) == (True, True)
    assert told.message == "recall[3] < 0.5 or ece > 0.1 (recall[3] = not known, ece = 0.12)"


ERRORS = {
    "recal[few] < 0.5": """\
--fail-if: there is no number 'recal'
  recal[few] < 0.5
  ^
  Did you mean recall?""",
    "ece > 0.1 or recall[cta] < 0.5": """\
--fail-if: there is no class, group or statistic 'cta'
  ece > 0.1 or recall[cta] < 0.5
                      ^
  Did you mean "cat"?""",
    "recall[rare] < 0.5": """\
--fail-if: the classes are split many-medium-few
  recall[rare] < 0.5
         ^
  Write many, medium or few, or pass --split lvis.""",
    "recall[zebra] < 0.5": """\
--fail-if: there is no class, group or statistic 'zebra'
  recall[zebra] < 0.5
         ^
  Write min, max, mean, many, medium or few, or a class by name or index: "cat", "a, b", "min", "q\\"x".""",
    "recall < 0.5": """\
--fail-if: recall is one number per class
  recall < 0.5
  ^
  Write recall[min], recall[few] or a class.""",
    "mean[focal] > 1": """\
--fail-if: there is no loss 'focal'
  mean[focal] > 1
       ^
  The run's losses: ce, binary_focal.""",
    "ece = 0.1": """\
--fail-if: '=' cannot stand here
  ece = 0.1
      ^
  Write ==.""",
    "ece": """\
--fail-if: this is a number, and nothing that is true or false
  ece
  ^
  Compare it, as in ece > 0.1.""",
    "brier > 1 or not ece > 10": """\
--fail-if: ece is compared with 10, and shares lie in 0..1
  brier > 1 or not ece > 10
                         ^
  Write 10%.""",
    "50 > recall[few]": """\
--fail-if: recall[few] is compared with 50, and shares lie in 0..1
  50 > recall[few]
  ^
  Write 50%.""",
    "accuracy < -500%": """\
--fail-if: accuracy is compared with -5, and shares lie in 0..1
  accuracy < -500%
              ^
  Write 50%.""",
    "change(accuracy) < -2": """\
--fail-if: change(accuracy) is compared with -2, and shares lie in -1..1
  change(accuracy) < -2
                      ^
  Write -2%.""",
    "mcc > 5": """\
--fail-if: mcc is compared with 5, and mcc lies in -1..1
  mcc > 5
        ^
  Mend the number.""",
    "brier.low > 0.1": """\
--fail-if: brier has no interval
  brier.low > 0.1
  ^
  Write brier without .low.""",
    "recall[a, b] > 0": """\
--fail-if: recall has two selectors of a kind
  recall[a, b] > 0
            ^
  Leave one out, or quote a name that has a comma.""",
    "accuracy[group=nigth] < 0.5": """\
--fail-if: there is no slice 'nigth'
  accuracy[group=nigth] < 0.5
           ^
  Did you mean night?""",
    "__import__('os') == 1": """\
--fail-if: there is no function '__import__'
  __import__('os') == 1
  ^
  The functions are min, max, abs and change; selectors stand in [ ].""",
}


@pytest.mark.parametrize("expression", ERRORS)
def test_the_place_that_means_nothing_is_marked(expression):
    with pytest.raises(EvaltoolError) as raised:
        result(expression)
    assert str(raised.value) == ERRORS[expression]


@pytest.mark.parametrize("expression", ["accuracy[worst] < 1", "accuracy[group=day] < 1", "change(accuracy) < 0"])
def test_what_was_not_asked_for_is_refused(expression):
    with pytest.raises(EvaltoolError, match=r"Pass --(group-by|compare)"):
        Gate(expression, Subject(names=["cat"], losses=["ce"]))


@pytest.mark.parametrize(
    ("task", "expression"),
    [
        ("multiclass", "mean_iou < 1"),
        ("binary", "change(image_iou) < 0"),
        ("segmentation", "exact_match < 1"),
        ("multilabel", "mcc < 1"),
        *(("regression", f"{name} < 1") for name in ("accuracy", "ece", "recall[few]", "gini", "loss_share[max]")),
    ],
)
def test_what_the_task_does_not_have_is_refused(task, expression):
    with pytest.raises(EvaltoolError, match=f"the run is {task}, which has no .*\n.*\n.*\n  It has .* and "):
        Gate(expression, Subject(names=[], losses=["l1"], task=task, compared=True))


def test_what_the_task_has_is_taken():
    for task, expression in (
        ("segmentation", "mean_iou < 1 and iou[a] < 1 and mcc < 1"),
        ("multilabel", "exact_match < 1 and recall[few] < 1"),
        ("regression", "mean[l1] < 1 and bad_share > 0 and n_scored > 1"),
    ):
        Gate(expression, Subject(names=["a"], losses=["l1"], task=task))


def test_many_classes_do_not_hide_the_groups():
    subject = Subject(names=[f"class {i}" for i in range(1000)], losses=["ce"], split="lvis")
    for wrong in ("zebra", "few"):
        with pytest.raises(EvaltoolError, match="frequent, common or rare"):
            Gate(f"recall[{wrong}] < 1", subject)


def test_a_name_that_several_classes_have_is_refused():
    with pytest.raises(EvaltoolError, match="several classes are called 'x'"):
        Gate("recall[x] < 1", Subject(names=["x", "x"], losses=["ce"]))


def test_every_word_is_a_number_or_says_why_not():
    for word in WORDS:
        for form in (word, f"{word}[cat]", f"{word}[few]", f"{word}[ce]", f"change({word}[cat])", f"{word}[worst]"):
            told = answer(f"{form} > 0")
            assert "^" in told if isinstance(told, str) else isinstance(told.failed, bool)


PIECES = [
    *VALUES,
    *"()[]<>=!.,'\"%-+*/",
    "and",
    "or",
    "not",
    "==",
    "<=",
    "1e3",
    "0.5",
    "50%",
    "change(",
    "min(",
    " ",
    "é",
]


@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
        st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join),
    )
)
def test_whatever_is_typed_raises_nothing_else(expression):
    told = answer(expression)
    assert "^" in told if isinstance(told, str) else isinstance(told.failed, bool)


@pytest.mark.parametrize("piece", ["(", "-", "not ", "abs(", "1+", "ece<", "a["])
def test_no_expression_exhausts_the_stack(piece):
    for count in (15, 300, 100_000):
        with pytest.raises(EvaltoolError):
            parse(piece * count)


NUMBERS = st.one_of(
    st.sampled_from([name for name in VALUES if "few" in name or "'" in name or "." in name]),
    st.floats(0, 1e6, allow_nan=False).map(repr),
    st.integers(0, 99).map(str),
)
SUMS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", " / "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        st.tuples(inner, inner).map(lambda pair: f"min({pair[0]}, max({pair[1]}, 0.5))"),
        inner.map("abs({})".format),
    ),
    max_leaves=8,
)
COMPARISONS = st.tuples(SUMS, st.sampled_from(["<", "<=", " > ", ">=", "==", "!="]), SUMS).map("".join)
CHAINS = st.tuples(COMPARISONS, st.sampled_from(["<", ">="]), SUMS).map("".join)
CONDITIONS = st.recursive(
    st.one_of(COMPARISONS, CHAINS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("not {}".format),
    ),
    max_leaves=6,
)


@given(CONDITIONS)
def test_expressions_agree_with_python(expression):
    """Python's grammar has the same precedence; names are replaced by their numbers first."""
    python = expression
    for name in sorted(VALUES, key=len, reverse=True):
        python = python.replace(name, f"({VALUES[name]!r})")
    try:
        expected = eval(python)
    except (ZeroDivisionError, OverflowError):
        return
    told = answer(expression)
    if isinstance(told, str):
        assert "inside each other" in told or "lie in" in told
    elif told.known:
        assert told.failed is expected
    else:  # an infinity or a division by 0 in a part that Python did not come to
        assert "/" in expression or "*" in expression
