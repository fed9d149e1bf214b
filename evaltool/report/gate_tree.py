"""What an expression of ``--fail-if`` is once it has been read: a tree of numbers, names and what joins them."""

from dataclasses import dataclass
from typing import NoReturn

from evaltool.errors import EvaltoolError

LONGEST = 2000  # characters
OPTION = "--fail-if"


@dataclass(frozen=True)
class Selector:
    """What stands between the brackets of a name."""

    text: str
    at: int
    quoted: bool
    key: str | None = None  # of group="night"


@dataclass(frozen=True)
class Number:
    """A number as it stands."""

    value: float
    at: int = 0


@dataclass(frozen=True)
class Name:
    """A number of the report."""

    text: str  # as it stands
    at: int
    word: str
    selectors: tuple[Selector, ...]
    part: str | None  # of PARTS
    change: bool  # inside change(...)


@dataclass(frozen=True)
class Negated:
    """``-x`` of a number, ``not x`` of a condition."""

    of: "Node"
    condition: bool


@dataclass(frozen=True)
class Call:
    """A function of numbers."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Chain:
    """Operands joined from left to right: sums, products, comparisons, ands, ors."""

    first: "Node"
    rest: tuple[tuple[str, "Node"], ...]
    condition: bool  # whether it is true or false, and no number


Node = Number | Name | Negated | Call | Chain


def refuse(expression: str, at: int, what: str, to_do: str) -> NoReturn:
    """Raise EvaltoolError with the expression and a mark below the place."""
    shown = "".join(" " if char.isspace() else char if char.isprintable() else "?" for char in expression)
    if len(shown) > LONGEST or at > 100:
        start = max(0, at - 60)
        shown, at = ("..." if start else "") + shown[start : at + 20], at - start + 3 * bool(start)
    raise EvaltoolError(f"{OPTION}: {what}\n  {shown}\n  {' ' * at}^\n  {to_do}")


def names_of(node: Node) -> list[Name]:
    """Return the names that an expression reads, in its order."""
    if isinstance(node, Name):
        return [node]
    if isinstance(node, Negated):
        return names_of(node.of)
    if isinstance(node, Call):
        return [name for argument in node.arguments for name in names_of(argument)]
    if isinstance(node, Chain):
        return [*names_of(node.first), *(name for _, operand in node.rest for name in names_of(operand))]
    return []


def is_condition(node: Node) -> bool:
    """Whether a node is true or false, and no number."""
    return isinstance(node, (Negated, Chain)) and node.condition
