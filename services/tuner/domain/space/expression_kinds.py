"""What is wrong with an expression, before it is asked."""

import ast
from collections.abc import Mapping
from enum import StrEnum

from common.wording import quoted
from services.tuner.domain.space.expression import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    KNOWN,
    BadExpressionError,
    Expression,
    name_of,
)
from services.tuner.domain.space.parameter import Choice, Parameter

_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_OF_SEVERAL = ("max", "min")


class Kind(StrEnum):
    """What something comes to."""

    NUMBER = "a number"
    TRUTH = "true or false"
    TEXT = "a text"
    MIXED = "a choice of several kinds"


def kind_of(parameter: Parameter) -> Kind:
    """Returns what the values of a parameter are."""
    if not isinstance(parameter, Choice):
        return Kind.NUMBER
    kinds = {_kind_of(value) for value in parameter.values}
    return kinds.pop() if len(kinds) == 1 else Kind.MIXED


def expression_flaws(constraint: Expression, known: Mapping[str, Parameter]) -> list[str]:
    """Returns what is wrong with a constraint, in sentences that name the cure.

    Args:
        constraint: Of any text.
        known: Parameters by name.
    """
    try:
        names = constraint.names
        found = [
            f"The constraint {quoted(constraint)} names {name}: give a parameter of the space."
            for name in names
            if name not in known
        ]
        if found:
            return found
        kind = _Kinds({name: kind_of(known[name]) for name in names}).of(constraint.root)
    except (BadExpressionError, RecursionError) as error:
        said = str(error) if isinstance(error, BadExpressionError) else "make it shorter"
        return [f"The constraint {quoted(constraint)}: {said}."]
    if not names:
        return [
            f"The constraint {quoted(constraint)} names no parameters: give some, or leave it out."
        ]
    if kind is not Kind.TRUTH:
        return [f"The constraint {quoted(constraint)} is {kind}: compare it with something."]
    return []


class _Kinds:
    """Of the nodes of a tree."""

    def __init__(self, known: Mapping[str, Kind]) -> None:
        self._known = known

    def of(self, node: ast.expr) -> Kind:
        """Returns what a node comes to.

        Raises:
            BadExpressionError: It comes to nothing.
        """
        match node:
            case ast.Constant(value=bool() | int() | float() | str()):
                return _kind_of(node.value)
            case ast.Name() | ast.Attribute() if name_of(node) in self._known:
                return self._known[name_of(node)]
            case ast.UnaryOp(op=ast.Not()):
                return self._all(Kind.TRUTH, node.operand)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return self._all(Kind.NUMBER, node.operand)
            case ast.BinOp() if isinstance(node.op, (*ARITHMETIC, ast.Pow)):
                return self._all(Kind.NUMBER, node.left, node.right)
            case ast.BoolOp():
                return self._all(Kind.TRUTH, *node.values)
            case ast.Compare():
                return self._compared(node)
            case ast.Call(keywords=[]):
                return self._called(node)
        raise BadExpressionError(f"{quoted(ast.unparse(node))} is not known: use {KNOWN}")

    def _all(self, kind: Kind, *nodes: ast.expr) -> Kind:
        for each in nodes:
            found = self.of(each)
            if found is not kind:
                raise BadExpressionError(
                    f"{quoted(ast.unparse(each))} is {found}, and must be {kind}"
                )
        return kind

    def _called(self, node: ast.Call) -> Kind:
        name = name_of(node.func)
        if name not in FUNCTIONS or name == "pow":
            raise BadExpressionError(f"{quoted(ast.unparse(node.func))} is not known: use {KNOWN}")
        if name in _OF_SEVERAL and len(node.args) < 2:
            raise BadExpressionError(f"{name} is of two numbers or more: give it as many")
        if name not in _OF_SEVERAL and len(node.args) != 1:
            raise BadExpressionError(f"{name} is of one number: give it one")
        return self._all(Kind.NUMBER, *node.args)

    def _compared(self, node: ast.Compare) -> Kind:
        sides = [node.left, *node.comparators]
        for place, how in enumerate(node.ops):
            self._pair(sides[place], how, sides[place + 1])
        return Kind.TRUTH

    def _pair(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> None:
        if isinstance(how, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
                raise BadExpressionError("what follows in must be a list: give it as (1, 2)")
            for each in right.elts:
                self._alike(left, each)
        elif isinstance(how, _ORDERED):
            self._all(Kind.NUMBER, left, right)
        elif type(how) in COMPARISONS:
            self._alike(left, right)
        else:
            raise BadExpressionError(f"compare with one of < <= > >= == !=: use {KNOWN}")

    def _alike(self, left: ast.expr, right: ast.expr) -> None:
        one, other = self.of(left), self.of(right)
        if one is not other and Kind.MIXED not in (one, other):
            raise BadExpressionError(
                f"{ast.unparse(left)} is {one} and {ast.unparse(right)} is {other}: "
                "compare what is alike"
            )


def _kind_of(value: object) -> Kind:
    if isinstance(value, bool):
        return Kind.TRUTH
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER
