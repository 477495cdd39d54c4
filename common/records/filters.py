"""Filters of lists: `state=RUNNING AND labels.team=vision AND metrics.loss<0.5`."""

import operator
import re
from collections.abc import Callable, Collection, Sized
from functools import partial
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from common.errors import InvalidFieldError
from common.records.fields import Field, Value, entry_field, find_field, unescape, wrong
from common.wording import quoted

Filter = Callable[[Message], bool]

_PARAMETER = "filter"
_MAX_LENGTH = 2000
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(
    rf"\s*(?P<path>[A-Za-z_][^\s=!<>:\"]*(?:{_QUOTED})?)\s*(?P<sign>!=|<=|>=|=|<|>|:)"
    rf"\s*(?:(?P<quoted>{_QUOTED})|(?P<bare>[^\s\"=<>][^\s\"]*))",
    re.ASCII,
)
_AND = re.compile(r"\s+AND\s+")
# Any: texts, numbers and times alike; both sides are of one field.
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_ANY = "*"


def compile_filter(text: str, descriptor: Descriptor) -> Filter:
    """Turns a filter into a predicate, as AIP-160 says in its plain cases.

    A filter is one or more terms joined by ` AND `. A term is a path, a sign and a value:

    - the path as `find_field` takes it: `labels.team`, `metrics.validation/accuracy`, `state`;
    - `=` and `!=`: an enum's value goes by its short name (`RUNNING`) or its whole one; a list is
      equal to each of its values; what is absent is equal to nothing;
    - `<`, `>`, `<=`, `>=`: numbers, texts, times (`create_time>"2026-11-24T00:00:00Z"`), durations;
    - `:` (has): a map has a key, a list a value, a text a part; `path:*` asks whether it is there.

    A value with spaces or quotes, or that begins with a sign, stands in double quotes: `name==x`
    is a slip of the pen.

    Args:
        text: The filter; empty matches everything.
        descriptor: Type of the messages.

    Raises:
        InvalidFieldError: Naming `filter`, if it cannot be understood.
    """
    if len(text) > _MAX_LENGTH:
        raise wrong(_PARAMETER, f"must have at most {_MAX_LENGTH} characters, not {len(text)}")
    terms = [_compile_term(term, descriptor) for term in _split(text)]
    return lambda message: all(term(message) for term in terms)


def _split(text: str) -> list[re.Match[str]]:
    terms: list[re.Match[str]] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        if terms:
            joint = _AND.match(text, position)
            if joint is None:
                raise _no_terms(text[position:])
            position = joint.end()
        term = _TERM.match(text, position)
        if term is None:
            raise _no_terms(text[position:])
        terms.append(term)
        position = term.end()
    return terms


def _no_terms(rest: str) -> InvalidFieldError:
    return wrong(
        _PARAMETER,
        f"{quoted(rest.strip())} is not understood: it must be terms such as `state=RUNNING`, "
        "`labels:team` or `metrics.loss<0.5`, joined by ` AND `; there is no OR and no NOT, and a "
        "value with spaces stands in double quotes",
    )


def _compile_term(term: re.Match[str], descriptor: Descriptor) -> Filter:
    field = find_field(term["path"], descriptor, _PARAMETER)
    text = term["bare"]
    if text is None:
        text = unescape(term["quoted"][1:-1])
    sign = term["sign"]
    if sign == ":":
        return _has(field, text, is_quoted=term["bare"] is None)
    if field.is_map:
        raise wrong(
            _PARAMETER, f"`{field.path}` is a map; name a key, as in `{field.path}.team{sign}...`"
        )
    if sign in _COMPARISONS:
        return _compared(field, sign, field.value(text, _PARAMETER))
    test = _equals(field, field.value(text, _PARAMETER))
    return test if sign == "=" else lambda message: not test(message)


def _equals(field: Field, wanted: Value) -> Filter:
    get = field.get
    if field.is_repeated:
        return lambda message: wanted in cast(Collection[object], get(message))
    return lambda message: get(message) == wanted


def _compared(field: Field, sign: str, wanted: Value) -> Filter:
    if not field.is_ordered:
        raise wrong(_PARAMETER, f"`{field.path}` has no order; compare it by = or !=")
    get, compare = field.get, _COMPARISONS[sign]

    def test(message: Message) -> bool:
        value = get(message)
        return value is not None and compare(value, wanted)

    return test


def _has(field: Field, text: str, *, is_quoted: bool) -> Filter:
    if text == _ANY and not is_quoted:
        return partial(_is_there, field)
    get = field.get
    if field.is_map:
        key_field = entry_field(field.descriptor, "key")
        key = Field(field.path, key_field, get).value(text, _PARAMETER)
        return lambda message: key in cast(Collection[object], get(message))
    wanted = field.value(text, _PARAMETER)
    if field.is_repeated or not field.is_text:
        return _equals(field, wanted)
    return lambda message: str(wanted) in cast(str, get(message) or "")


def _is_there(field: Field, message: Message) -> bool:
    value = field.get(message)
    if field.is_repeated:
        return len(cast(Sized, value)) > 0
    has_presence = field.key is not None or field.descriptor.has_presence
    if has_presence or field.descriptor.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return value is not None
    return bool(value)
