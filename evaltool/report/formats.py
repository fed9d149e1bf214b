"""How numbers and class names of a document read, the same on the page, in Markdown and on the terminal.

Three significant digits; what is not known is an en dash.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

UNKNOWN = "–"
ROUNDING = 1e-12  # a smaller difference is one of the last bits
# rates that read as a percentage; the others (mcc, kappa, auroc, ...) as a number
PERCENT_WORDS = ("accuracy", "recall", "precision", "f1", "iou", "dice", "share", "shift", "gap")


def count(value: float | None) -> str:
    """Return a count, thousands grouped.

    >>> count(12345), count(None)
    ('12,345', '–')
    """
    return UNKNOWN if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return a count with what is counted, which has an s in the plural unless ``many`` says another.

    >>> counted(1, "sample"), counted(2000, "sample"), counted(0, "class", "classes")
    ('1 sample', '2,000 samples', '0 classes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def number(value: float | None) -> str:
    """Return a number to three significant digits, whole ones without decimals.

    >>> number(0.123456), number(12345.6), number(-0.00001234), number(1.5), number(2.0)
    ('0.123', '12,346', '-1.23e-05', '1.50', '2')
    """
    if value is None:
        return UNKNOWN
    if 1000 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1000 else _three(value)


def percent(value: float | None) -> str:
    """Return a share as a percentage, to three significant digits; not quite all is not written as all.

    >>> percent(0.81234), percent(0.5), percent(1.0), percent(0.99999), percent(0.0000012), percent(0), percent(None)
    ('81.2%', '50.0%', '100%', '>99.9%', '<0.001%', '0%', '–')
    """
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0%"
    if 0.9995 <= value < 1:
        return ">99.9%"
    if abs(value) < 1e-5:
        return "<0.001%" if value > 0 else ">-0.001%"
    return f"{_three(100 * value)}%" if abs(value) < 9.99 else f"{100 * value:,.0f}%"


def times(value: float | None) -> str:
    """Return a ratio.

    >>> times(4.128)
    '4.13×'
    """
    return UNKNOWN if value is None else f"{number(value)}×"


def points(value: float | None) -> str:
    """Return a difference of shares in percentage points, with its sign.

    >>> points(0.0312), points(-0.2), points(0.0), points(0.7 - 0.6 - 0.1)
    ('+3.12', '-20.0', '0', '0')
    """
    return UNKNOWN if value is None else _plus(100 * value)


def signed(value: float | None) -> str:
    """Return a difference, with its sign.

    >>> signed(0.0312)
    '+0.0312'
    """
    return UNKNOWN if value is None else _plus(value)


def interval(estimate: Mapping[str, float | None], form: Callable[[float | None], str] = number) -> str:
    """Return the interval of an estimate, or nothing where it has none.

    >>> interval({"value": 0.5, "low": 0.4, "high": 0.6}, percent)
    '40.0% to 60.0%'
    """
    if estimate["low"] is None or estimate["high"] is None:
        return ""
    return f"{form(estimate['low'])} to {form(estimate['high'])}"


def rate_form(key: str) -> Callable[[float | None], str]:
    """Return how a rate, or a number behind the verdict, is written, by its name."""
    if key.startswith("n_"):
        return count
    if "ratio" in key:
        return times
    return percent if any(word in key for word in PERCENT_WORDS) else number


def words(key: str) -> str:
    """Return a key as words.

    >>> words("balanced_accuracy"), words("macro_f1"), words("mcc")
    ('balanced accuracy', 'macro F1', 'MCC')
    """
    capitals = {"f1": "F1", "mcc": "MCC", "auroc": "AUROC", "iou": "IoU", "ece": "ECE", "nll": "NLL"}
    return " ".join(capitals.get(word, word) for word in key.split("_"))


def shortened(text: str, length: int) -> str:
    """Return a text cut to ``length`` characters, the last of them an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def moment(text: str | None) -> str:
    """Return a time in ISO 8601 as a person writes it, without fractions of a second.

    >>> moment("2026-11-23T23:36:48.779010+00:00"), moment("2026-11-23T23:36:48+02:00"), moment(None)
    ('2026-11-23 23:36:48 UTC', '2026-11-23 23:36:48 +02:00', '–')
    """
    if text is None:
        return UNKNOWN
    day, _, rest = str(text).partition("T")
    clock, zone = rest[:8], re.sub(r"^[.\d]*", "", rest[8:])
    return " ".join(part for part in (day, clock, "UTC" if zone in ("Z", "+00:00") else zone) if part)


def class_labels(names: Sequence[str], *, length: int = 200) -> list[str]:
    """Return what each class is called where a person reads: no two the same, none empty, on one line.

    >>> class_labels(["cat", "", "2", "cat"])
    ['cat (0)', 'class 1', 'class 2', 'cat (3)']
    """
    shown = []
    for index, name in enumerate(names):
        text = shortened(printable(name), length)
        shown.append(f"class {index}" if text in ("", str(index)) else text)
    seen = Counter(shown)
    return [f"{text} ({index})" if seen[text] > 1 else text for index, text in enumerate(shown)]


def loss_of(document: Mapping[str, Any]) -> str | None:
    """Return the loss that ranks, which stands first; None of a document without losses."""
    return next(iter(document["losses"]), None)


def _three(value: float) -> str:
    return f"{value:#.3g}".replace(".e", "e").removesuffix(".")


def _plus(value: float) -> str:
    return "0" if abs(value) < ROUNDING else f"{'+' if value > 0 else ''}{_three(value)}"


def printable(name: str) -> str:
    r"""Return a text on one line without what UTF-8 cannot hold or what moves the cursor of a terminal.

    >>> printable("a\x1b[2J\nb")
    'a [2J b'
    """
    text = name.encode("utf-8", "replace").decode("utf-8")
    plain = (" " if ord(character) < 32 or 127 <= ord(character) < 160 else character for character in text)
    return " ".join("".join(plain).split())
