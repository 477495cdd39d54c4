"""Constraints as people write them: `depth * leaves <= 64 and kernel != 'linear'`."""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from services.tuner.domain.space.configuration import Configuration

LONGEST = 500

Functions = Mapping[str, Callable[..., Any]]

FUNCTIONS: Functions = {
    "abs": abs,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "max": max,
    "min": min,
    "pow": math.pow,
    "sqrt": math.sqrt,
}
"""Of single numbers; `pow` is what `**` stands for."""

ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
KNOWN = (
    "numbers, texts, names of parameters, + - * / % **, < <= > >= == !=, in, and, or, not, "
    + ", ".join(name for name in FUNCTIONS if name != "pow")
)
"""What an expression may be made of."""


class BadExpressionError(ValueError):
    """An expression cannot be read; the message says why."""


@dataclass(frozen=True)
class Expression:
    """Something that must be true; where one of its parameters does not count, it holds.

    Attributes:
        text: As in Python: arithmetic, comparisons, `in`, `and`, `or`, `not` and a few functions.
    """

    text: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters that it looks at, each once."""
        return tuple(dict.fromkeys(_names(self.root)))

    def holds(self, configuration: Configuration) -> bool:
        """Whether it does; it does not where it has no value, as 1 / 0."""
        if any(name not in configuration for name in self.names):
            return True
        values = {name: _plain(configuration[name]) for name in self.names}
        try:
            return bool(self.value(values, FUNCTIONS))
        except (ArithmeticError, ValueError):
            return False

    def value(self, values: Mapping[str, Any], functions: Functions) -> Any:
        """Returns what it comes to, of single values or of arrays of them.

        Args:
            values: Of all `names`.
            functions: Those of `FUNCTIONS`, of single values or of arrays.
        """
        return _Evaluation(values, functions).of(self.root)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def root(self) -> ast.expr:
        """Its tree.

        Raises:
            BadExpressionError: It cannot be read.
        """
        if len(self.text) > LONGEST:
            raise BadExpressionError(f"it is longer than {LONGEST} characters: make several of it")
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise BadExpressionError(f"it cannot be read: use {KNOWN}") from None


class _Evaluation:
    """Of a tree of Python's, whose nodes were checked."""

    def __init__(self, values: Mapping[str, Any], functions: Functions) -> None:
        self._values, self._functions = values, functions

    def of(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return _plain(node.value)
            case ast.Name() | ast.Attribute():
                return self._values[name_of(node)]
            case ast.UnaryOp(op=ast.Not()):
                return operator.xor(self.of(node.operand), True)
            case ast.UnaryOp():
                sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return sign * self.of(node.operand)
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.BoolOp():
                both = operator.and_ if isinstance(node.op, ast.And) else operator.or_
                return _folded(both, [self.of(each) for each in node.values])
            case ast.Compare():
                return self._compared(node)
            case ast.Call():
                return self._functions[name_of(node.func)](*(self.of(each) for each in node.args))
        raise BadExpressionError(f"{ast.unparse(node)} is not known: use {KNOWN}")

    def _arithmetic(self, node: ast.BinOp) -> Any:
        left, right = self.of(node.left), self.of(node.right)
        if isinstance(node.op, ast.Pow):
            return self._functions["pow"](left, right)
        return ARITHMETIC[type(node.op)](left, right)

    def _compared(self, node: ast.Compare) -> Any:
        sides = [node.left, *node.comparators]
        found = [
            self._pair(sides[place], how, sides[place + 1]) for place, how in enumerate(node.ops)
        ]
        return _folded(operator.and_, found)

    def _pair(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> Any:
        if not isinstance(how, ast.In | ast.NotIn):
            return COMPARISONS[type(how)](self.of(left), self.of(right))
        assert isinstance(right, ast.Tuple | ast.List | ast.Set)
        own = self.of(left)
        is_in = _folded(operator.or_, [operator.eq(own, self.of(each)) for each in right.elts])
        return operator.xor(is_in, True) if isinstance(how, ast.NotIn) else is_in


def _folded(both: Callable[[Any, Any], Any], values: list[Any]) -> Any:
    found = values[0]
    for each in values[1:]:
        found = both(found, each)
    return found


def _plain(value: Any) -> Any:
    """Returns numbers as floats, so that none grows without end."""
    return value if isinstance(value, bool | str) else float(value)


def name_of(node: ast.expr) -> str:
    """Returns a name, which may have dots; empty where it is none."""
    if isinstance(node, ast.Name):
        return node.id
    inner = name_of(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _names(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield name_of(node)
        return
    skipped = node.func if isinstance(node, ast.Call) else None
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.expr) and each is not skipped:
            yield from _names(each)
