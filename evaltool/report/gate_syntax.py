"""Reads the expressions of ``--fail-if``: a small language of its own, which can do nothing but compare numbers.

    or         := and {"or" and}
    and        := not {"and" not}
    not        := "not" not | comparison
    comparison := sum {("<" | "<=" | ">" | ">=" | "==" | "!=") sum}
    sum        := product {("+" | "-") product}
    product    := sign {("*" | "/") sign}
    sign       := "-" sign | atom
    atom       := number | name | ("min" | "max" | "abs") "(" or {"," or} ")" | "change" "(" name ")" | "(" or ")"
    name       := word ["[" selector {"," selector} "]"] ["." ("low" | "high" | "value")]
    selector   := [word "="] (quoted | text without brackets, commas, quotes and =)

A number may end in %, after blanks as well. A chain of comparisons holds where each of them holds.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from evaltool.report.gate_tree import LONGEST, Call, Chain, Name, Negated, Node, Number, Selector, is_condition, refuse

DEEPEST = 20  # brackets, signs and nots inside each other
FUNCTIONS = ("min", "max", "abs")
PARTS = ("low", "high", "value")

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?P<percent>(?:\s*%)?)(?![\w.])"
    r"|(?P<word>[^\W\d]\w*)|(?P<mark><=|>=|==|!=|[-<>+*/()\[\],.])"
)
_QUOTED = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\])*)\1""", re.DOTALL)
_INSTEAD = {
    "=": "Write ==.",
    "&": "Write and.",
    "|": "Write or.",
    "!": "Write not, or !=.",
    "≤": "Write <=.",
    "≥": "Write >=.",
}


@dataclass(frozen=True)
class Token:
    """A piece of an expression."""

    kind: str  # "number", "word", "mark", "selectors" or "end"
    text: str
    at: int  # where it begins


def parse(expression: str) -> Node:
    """Return the condition that an expression says.

    Raises:
        EvaltoolError: it says none; the place is marked.
    """
    if len(expression) > LONGEST:
        refuse(expression, LONGEST, f"the expression is longer than {LONGEST} characters", "Give several --fail-if.")
    parser = _Parser(expression)
    tree = parser.either()
    parser.expect_end()
    if not is_condition(tree):
        refuse(expression, 0, "this is a number, and nothing that is true or false", "Compare it, as in ece > 0.1.")
    return tree


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.at = 0
        self.depth = 0
        self.token = self._read()

    def either(self) -> Node:
        return self._joined(self._both, ("or",), conditions=True)

    def expect_end(self) -> None:
        if self.token.kind != "end":
            self._refuse(f"{self.token.text!r} cannot stand here", "Join comparisons by and or or.")

    def _both(self) -> Node:
        return self._joined(self._not, ("and",), conditions=True)

    def _not(self) -> Node:
        if self.token.text != "not":
            return self._comparison()
        self._next()
        at = self.token.at
        with _Deeper(self):
            return Negated(self._checked(self._not(), at, condition=True), condition=True)

    def _comparison(self) -> Node:
        at = self.token.at
        first = self._sum()
        rest = []
        while self.token.text in ("<", "<=", ">", ">=", "==", "!="):
            self._checked(first, at, condition=False)
            sign = self._next().text
            at_operand = self.token.at
            rest.append((sign, self._checked(self._sum(), at_operand, condition=False)))
        return Chain(first, tuple(rest), condition=True) if rest else first

    def _sum(self) -> Node:
        return self._joined(self._product, ("+", "-"), conditions=False)

    def _product(self) -> Node:
        return self._joined(self._sign, ("*", "/"), conditions=False)

    def _sign(self) -> Node:
        if self.token.text != "-":
            return self._atom()
        self._next()
        at = self.token.at
        with _Deeper(self):
            return Negated(self._checked(self._sign(), at, condition=False), condition=False)

    def _atom(self) -> Node:
        token = self.token
        if token.kind == "number":
            self._next()
            return Number(self._value(token), token.at)
        if token.text == "(":
            self._next()
            with _Deeper(self):
                inner = self.either()
            self._expect(")")
            return inner
        if token.kind == "word" and token.text not in ("and", "or", "not"):
            self._next()
            if self.token.text == "(":
                return self._call(token)
            return self._name(token, change=False)
        what = "the expression ends too early" if token.kind == "end" else f"{token.text!r} cannot stand here"
        return self._refuse(what, "A number or a name goes here, as in recall[few] < 0.5.")

    def _call(self, word: Token) -> Node:
        if word.text not in (*FUNCTIONS, "change"):
            self.token = word
            there_are = f"The functions are {', '.join(FUNCTIONS)} and change; selectors stand in [ ]."
            self._refuse(f"there is no function {word.text!r}", there_are)
        self._next()
        if word.text == "change":
            if self.token.kind != "word":
                self._refuse("change() is of a name", "Write it as in change(recall[few]) < -0.02.")
            return self._name(self._next(), change=True)
        arguments = []
        with _Deeper(self):
            while True:
                at = self.token.at
                arguments.append(self._checked(self.either(), at, condition=False))
                if self.token.text != ",":
                    break
                if word.text == "abs":
                    self._refuse("abs() is of one number", "Write it as in abs(ece - 0.1).")
                self._next()
        self._expect(")")
        return Call(word.text, tuple(arguments))

    def _name(self, word: Token, *, change: bool) -> Name:
        begin, end = word.at, word.at + len(word.text)
        selectors: tuple[Selector, ...] = ()
        if self.token.text == "[":
            selectors, end = self._selectors(self.token.at + 1)
        if change:
            end = self.token.at + 1
            self._expect(")")
            begin = self.expression.rindex("change", 0, begin)
        part = None
        if self.token.text == ".":
            self._next()
            if self.token.text not in PARTS:
                self._refuse(f"a number has no {self.token.text!r}", f"After the dot stands {', '.join(PARTS)}.")
            part, end = self.token.text, self.token.at + len(self.token.text)
            self._next()
        return Name(self.expression[begin:end], word.at, word.text, selectors, part, change)

    def _selectors(self, at: int) -> tuple[tuple[Selector, ...], int]:
        """Read up to the bracket that closes; classes may hold blanks and signs, so no tokens are read."""
        selectors = []
        mark = ","
        while mark == ",":
            selector, at = self._selector(at)
            selectors.append(selector)
            mark, at = self.expression[at : at + 1], at + 1
        if mark != "]":
            self.token = Token("mark", mark, min(at - 1, len(self.expression)))
            self._refuse(
                "a ] is missing here" if not mark else f"{mark!r} cannot stand inside brackets",
                'Put a class\'s name in quotes, as in recall["a, b"].',
            )
        self.at = at
        self.token = self._read()
        return tuple(selectors), at

    def _selector(self, at: int) -> tuple[Selector, int]:
        begin = at = self._after_blanks(at)
        key = None
        text, at, quoted = self._word_or_quoted(at)
        if not quoted and self.expression[at : at + 1] == "=":
            key = text
            text, at, quoted = self._word_or_quoted(self._after_blanks(at + 1))
        if not text and not quoted:
            self.token = Token("mark", "", begin)
            self._refuse("a selector is missing here", "A class, group or statistic goes here, as in recall[min].")
        return Selector(text, begin, quoted, key), at

    def _word_or_quoted(self, at: int) -> tuple[str, int, bool]:
        if found := _QUOTED.match(self.expression, at):
            return re.sub(r"\\(.)", r"\1", found[2], flags=re.DOTALL), self._after_blanks(found.end()), True
        plain = re.compile(r"[^\[\],\"'=]*").match(self.expression, at)
        assert plain is not None  # it may be empty
        return plain[0].strip(), plain.end(), False

    def _after_blanks(self, at: int) -> int:
        while self.expression[at : at + 1].isspace():
            at += 1
        return at

    def _joined(self, operand_of: Callable[[], Node], signs: tuple[str, ...], *, conditions: bool) -> Node:
        at = self.token.at
        first = operand_of()
        rest = []
        while self.token.text in signs and self.token.kind in ("mark", "word"):
            self._checked(first, at, condition=conditions)
            sign = self._next().text
            at_operand = self.token.at
            rest.append((sign, self._checked(operand_of(), at_operand, condition=conditions)))
        return Chain(first, tuple(rest), condition=conditions) if rest else first

    def _checked(self, node: Node, at: int, *, condition: bool) -> Node:
        if is_condition(node) != condition:
            what = "a number, expected something true or false" if condition else "true or false, expected a number"
            to_do = "Compare it, as in ece > 0.1." if condition else "Join comparisons by and or or."
            refuse(self.expression, at, f"this is {what}", to_do)
        return node

    def _value(self, token: Token) -> float:
        value = float(token.text.removesuffix("%")) / (100 if token.text.endswith("%") else 1)
        if not math.isfinite(value):
            refuse(self.expression, token.at, f"{token.text} is too large", "Write a number below 1e308.")
        return value

    def _expect(self, mark: str) -> None:
        if self.token.text != mark or self.token.kind != "mark":
            got = f"{self.token.text!r}" if self.token.text else "the end"
            self._refuse(f"expected {mark!r}, got {got}", "Close every bracket.")
        self._next()

    def _next(self) -> Token:
        token = self.token
        self.token = self._read()
        return token

    def _read(self) -> Token:
        self.at = self._after_blanks(self.at)
        if self.at == len(self.expression):
            return Token("end", "", self.at)
        found = _TOKEN.match(self.expression, self.at)
        if found is None:
            char = self.expression[self.at]
            self.token = Token("mark", char, self.at)
            usual = "Write comparisons of numbers and names, as in recall[few] < 0.5."
            self._refuse(f"{char!r} cannot stand here", _INSTEAD.get(char, usual))
        kind = "number" if found["number"] else "word" if found["word"] else "mark"
        token = Token(kind, found[0], self.at)
        self.at = found.end()
        return token

    def _refuse(self, what: str, to_do: str) -> NoReturn:
        refuse(self.expression, self.token.at, what, to_do)


class _Deeper:
    """Counts brackets inside brackets, so that no expression exhausts the stack."""

    def __init__(self, parser: _Parser) -> None:
        self._parser = parser

    def __enter__(self) -> None:
        self._parser.depth += 1
        if self._parser.depth > DEEPEST:
            self._parser._refuse(f"more than {DEEPEST} brackets inside each other", "Write it flatter.")

    def __exit__(self, *_: object) -> None:
        self._parser.depth -= 1
