"""``--fail-if``: does a report hold what it must not."""

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaltool.report.gate_names import SHARES, Lookup, Subject, bound, number_of, range_of
from evaltool.report.gate_syntax import parse
from evaltool.report.gate_tree import Call, Chain, Name, Negated, Node, Number, names_of, refuse

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
FUNCTIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "max": max,
    "abs": lambda numbers: abs(numbers[0]),
}


@dataclass(frozen=True)
class GateResult:
    """What came of one ``--fail-if``.

    Attributes:
        expression: as it was given.
        values: the numbers that its names stand for; None where the report does not know one.
        failed: it holds, or it cannot be told: a gate that cannot be evaluated does not pass.
        known: it can be told.
    """

    expression: str
    values: Mapping[str, float | None]
    failed: bool
    known: bool

    @property
    def message(self) -> str:
        """The expression and its values, in one line."""
        expression = " ".join(self.expression.split())
        return f"{expression}{self._read}" if self.known else f"{expression}: cannot be told{self._read}"

    @property
    def negation(self) -> str:
        """What a gate that passed says, and its values."""
        expression = " ".join(self.expression.split())
        joined = {"and", "or", "not"} & set(expression.split())
        return f"not ({expression}){self._read}" if joined else f"not {expression}{self._read}"

    @property
    def _read(self) -> str:
        shown = ", ".join(f"{name} = {_shown(value)}" for name, value in self.values.items())
        return f" ({shown})" if shown else ""


class Gate:
    """One ``--fail-if``, read and checked before there is a report.

    Args:
        expression: the condition under which the gate fails.
        subject: what is known of the report.

    Raises:
        EvaltoolError: the expression cannot be read, or a name in it means nothing; the place is marked.
    """

    def __init__(self, expression: str, subject: Subject) -> None:
        self.expression = expression
        self._tree = parse(expression)
        self._lookups: dict[Name, Lookup] = {name: bound(name, expression, subject) for name in names_of(self._tree)}
        _check_ranges(self._tree, expression)

    def result(self, report: Any) -> GateResult:
        """Return what comes of it on a report.

        Raises:
            EvaltoolError: it names a slice that does not occur.
        """
        values = {name: number_of(lookup(report), name.part) for name, lookup in self._lookups.items()}
        holds = _condition(self._tree, values)
        shown = {name.text: value for name, value in values.items()}
        return GateResult(self.expression, shown, failed=holds is not False, known=holds is not None)


def read_gates(expressions: Sequence[str], subject: Subject) -> list[Gate]:
    """Return the gates of some expressions."""
    return [Gate(expression, subject) for expression in expressions]


def _check_ranges(node: Node, expression: str) -> None:
    """Raise EvaltoolError where a share is compared with a number that no share can be: most likely a percentage."""
    if isinstance(node, Negated):
        _check_ranges(node.of, expression)
    if not isinstance(node, Chain):
        return
    operands = [node.first, *(operand for _, operand in node.rest)]
    if node.rest[0][0] not in COMPARISONS:
        for operand in operands:
            _check_ranges(operand, expression)
        return
    for pair in itertools.pairwise(operands):
        for name, other in (pair, pair[::-1]):
            literal, sign = (other.of, -1) if isinstance(other, Negated) else (other, 1)
            if isinstance(name, Name) and isinstance(literal, Number):
                _check_range(name, sign * literal.value, literal.at, expression)


def _check_range(name: Name, value: float, at: int, expression: str) -> None:
    ends = range_of(name)
    if ends is None or ends[0] <= value <= ends[1]:
        return
    lie = f"{ends[0]:g}..{ends[1]:g}"
    if name.word in SHARES:
        percent = f"{value:g}%" if ends[0] <= value / 100 <= ends[1] else "50%"
        refuse(expression, at, f"{name.text} is compared with {value:g}, and shares lie in {lie}", f"Write {percent}.")
    refuse(expression, at, f"{name.text} is compared with {value:g}, and {name.word} lies in {lie}", "Mend the number.")


def _condition(node: Node, values: Mapping[Name, float | None]) -> bool | None:
    """Return whether a condition holds, None where it depends on what is not known (Kleene's logic)."""
    if isinstance(node, Negated):
        holds = _condition(node.of, values)
        return None if holds is None else not holds
    assert isinstance(node, Chain)
    sign = node.rest[0][0]
    if sign in COMPARISONS:
        results = _compared(node, values)
    else:
        results = [_condition(operand, values) for operand in (node.first, *(operand for _, operand in node.rest))]
    decisive = sign == "or"
    if decisive in results:
        return decisive
    return None if None in results else not decisive


def _compared(node: Chain, values: Mapping[Name, float | None]) -> list[bool | None]:
    left = _number(node.first, values)
    results: list[bool | None] = []
    for sign, operand in node.rest:
        right = _number(operand, values)
        results.append(None if left is None or right is None else COMPARISONS[sign](left, right))
        left = right
    return results


def _number(node: Node, values: Mapping[Name, float | None]) -> float | None:
    """Return a number, None where it is not known, infinite or divided by 0."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return values[node]
    if isinstance(node, Negated):
        number = _number(node.of, values)
        return None if number is None else -number
    if isinstance(node, Call):
        numbers = [_number(argument, values) for argument in node.arguments]
        known = [number for number in numbers if number is not None]
        if len(known) < len(numbers):
            return None
        return FUNCTIONS[node.function](known)
    total = _number(node.first, values)
    for sign, operand in node.rest:
        right = _number(operand, values)
        if total is None or right is None or (sign == "/" and right == 0):
            return None
        total = ARITHMETIC[sign](total, right)
        if not math.isfinite(total):
            return None
    return total


def _shown(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
