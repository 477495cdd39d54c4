"""References of a YAML document to what the documents before it made: `${data.dataset_version}`."""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from common.cli.errors import CliError

# Only a whole value is a reference: texts such as code may have dollars and braces.
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_FORM = re.compile(r"([A-Za-z][\w-]*)(?:\.(\w+(?:\.\w+)*))?(\?)?")
_LABEL = re.compile(r"[A-Za-z][\w-]*")
_NAME = "name"
_NOTHING = object()


def checked_label(label: object, known: Mapping[str, Descriptor], place: str) -> str:
    """Returns a document's label.

    Args:
        label: Value of its `as`.
        known: Labels of the documents before it.
        place: Where it is, for messages.

    Raises:
        CliError: It is no label, or another document has it.
    """
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise CliError(f"{place}: as: {label!r} is no label; letters, digits, - and _ make one.")
    if label in known:
        raise CliError(f"{place}: as: another document is {label!r} already; choose another label.")
    return label


def check_references(
    values: Mapping[Hashable, object], known: Mapping[str, Descriptor], place: str
) -> None:
    """Checks that what a document refers to is there.

    Args:
        values: The document.
        known: What documents before it make, by label.
        place: Where it is, for messages.

    Raises:
        CliError: A label or a field is unknown; names the value and what there is.
    """
    for text in _references(values):
        label, path, _ = _parts(text, place)
        if label not in known:
            labels = ", ".join(known) or "none"
            raise CliError(
                f"{place}: ${{{text}}}: no document before this one is `as: {label}` "
                f"(there are: {labels})."
            )
        _check_path(text, path, known[label], place)


def resolved(
    values: Mapping[Hashable, object], made: Mapping[str, Message], place: str
) -> dict[Hashable, object]:
    """Returns a document with values in place of its references.

    What `${label.field?}` stands for is left out where it is not there.

    Args:
        values: The document, checked.
        made: What documents before it made, by label.
        place: Where it is, for messages.

    Raises:
        CliError: Something is not there (yet).
    """

    def value_of(text: str) -> str:
        label, path, is_optional = _parts(text, place)
        value: Any = made[label]
        for field in path:
            value = getattr(value, field)
        if not value and not is_optional:
            name = getattr(made[label], _NAME)
            raise CliError(f"{place}: ${{{text}}}: {name} has none (yet); see how it ended.")
        return str(value)

    found = _replaced(values, value_of)
    assert isinstance(found, dict)
    return found


def has_references(values: Mapping[Hashable, object]) -> bool:
    """Returns whether a document refers to another."""
    return next(_references(values), None) is not None


def _parts(text: str, place: str) -> tuple[str, list[str], bool]:
    """Returns label, fields, and whether there may be none."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise CliError(f"{place}: ${{{text}}} is no reference; write ${{label.field}}.")
    label, path, mark = match.groups()
    return label, (path or _NAME).split("."), bool(mark)


def _check_path(text: str, path: list[str], message: Descriptor, place: str) -> None:
    at: Descriptor | None = message
    for field in path:
        found = None if at is None else at.fields_by_name.get(field)
        if found is None or found.is_repeated:
            raise CliError(f"{place}: ${{{text}}}: {message.name} has no single field {field!r}.")
        at = found.message_type
        kind = found.type
    if kind != FieldDescriptor.TYPE_STRING:
        raise CliError(f"{place}: ${{{text}}} is no text; refer to a name.")


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, str) and (match := _REFERENCE.fullmatch(value)):
        yield match.group(1)


def _replaced(value: object, value_of: Callable[[str], str]) -> object:
    """Returns a value with its references replaced; `_NOTHING` for what is left out."""
    if isinstance(value, Mapping):
        found = {key: _replaced(each, value_of) for key, each in value.items()}
        return {key: each for key, each in found.items() if each is not _NOTHING}
    if isinstance(value, list):
        replaced = (_replaced(each, value_of) for each in value)
        return [each for each in replaced if each is not _NOTHING]
    if isinstance(value, str) and (match := _REFERENCE.fullmatch(value)):
        return value_of(match.group(1)) or _NOTHING
    return value
