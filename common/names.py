"""Resource names such as `models/iris/versions/3` as values.

An id that was not checked here must not become part of an object key.
"""

import base64
import re
import secrets
from dataclasses import dataclass
from typing import ClassVar, Self

from common.errors import InvalidFieldError
from common.wording import quoted

LATEST = "latest"
MAX_VERSION = 2**31 - 1

_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_COLLECTION = re.compile(r"[a-z][A-Za-z]{0,62}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_RANDOM_CHARACTERS = 10


def validate_id(text: str, field: str) -> str:
    """Checks a resource id.

    Args:
        text: The id.
        field: Path of the field it came from, for the error.

    Returns:
        The id.

    Raises:
        InvalidFieldError: If it is not 1 to 63 lower-case letters, digits and hyphens that begin
            with a letter and do not end with a hyphen.
    """
    if _ID.fullmatch(text) is None:
        raise InvalidFieldError(
            field,
            f"must be 1 to 63 lower-case letters, digits and hyphens, not {quoted(text)}; the "
            "first a letter, the last no hyphen",
            reason="INVALID_ID",
        )
    return text


def new_id(prefix: str) -> str:
    """Makes a fresh id: the prefix, a hyphen and 10 random characters (50 bits)."""
    random = base64.b32encode(secrets.token_bytes(8)).decode().lower()[:_RANDOM_CHARACTERS]
    return validate_id(f"{prefix}-{random}", "id")


@dataclass(frozen=True)
class _CollectionName:
    """`{collection}/{id}`.

    Attributes:
        id: The id within the collection.
    """

    collection: ClassVar[str]

    id: str

    def __post_init__(self) -> None:
        validate_id(self.id, "id")

    @classmethod
    def from_name(cls, text: str, field: str = "name") -> Self:
        """Parses a resource name.

        Args:
            text: The name.
            field: Path of the field it came from, for the error.

        Raises:
            InvalidFieldError: If it is no such name.
        """
        collection, _, id_ = text.partition("/")
        if collection != cls.collection or _ID.fullmatch(id_) is None:
            raise wrong_name(field, f"{cls.collection}/{{id}}", text)
        return cls(id_)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"{self.collection}/{self.id}"


@dataclass(frozen=True)
class UploadName(_CollectionName):
    """`uploads/{id}`."""

    collection = "uploads"


@dataclass(frozen=True)
class DatasetName(_CollectionName):
    """`datasets/{id}`."""

    collection = "datasets"


@dataclass(frozen=True)
class ModelName(_CollectionName):
    """`models/{id}`."""

    collection = "models"


@dataclass(frozen=True)
class TrainingRunName(_CollectionName):
    """`trainingRuns/{id}`."""

    collection = "trainingRuns"


@dataclass(frozen=True)
class OutlierScanName(_CollectionName):
    """`outlierScans/{id}`."""

    collection = "outlierScans"


@dataclass(frozen=True)
class OutlierStreamName(_CollectionName):
    """`outlierStreams/{id}`."""

    collection = "outlierStreams"


@dataclass(frozen=True)
class OutlierFeedbackName(_CollectionName):
    """`outlierFeedback/{id}`."""

    collection = "outlierFeedback"


@dataclass(frozen=True)
class StudyName(_CollectionName):
    """`studies/{id}`."""

    collection = "studies"

    @property
    def trials(self) -> str:
        """The collection of its trials."""
        return f"{self.name}/trials"


@dataclass(frozen=True)
class TrialName:
    """`studies/{id}/trials/{number}`.

    Attributes:
        id: The id of the study.
        number: The trial, from 1.
    """

    id: str
    number: int

    @classmethod
    def from_name(cls, text: str, field: str = "name") -> Self:
        """Parses a resource name. Raises `InvalidFieldError`."""
        parts = text.split("/")
        is_name = len(parts) == 4 and parts[0] == StudyName.collection and parts[2] == "trials"
        if not is_name or _ID.fullmatch(parts[1]) is None or not _NUMBER.fullmatch(parts[3]):
            raise wrong_name(field, f"{StudyName.collection}/{{id}}/trials/{{number}}", text)
        return cls(parts[1], int(parts[3]))

    @property
    def parent(self) -> StudyName:
        """The study."""
        return StudyName(self.id)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"{self.parent.trials}/{self.number}"


@dataclass(frozen=True)
class TuningPolicyName(_CollectionName):
    """`tuningPolicies/{id}`."""

    collection = "tuningPolicies"


@dataclass(frozen=True)
class _VersionName:
    """`{collection}/{id}/versions/{number}`.

    Attributes:
        id: The id of the parent.
        number: The version, from 1; None stands for the newest, or for the one of the alias.
        alias: The alias that stands in the place of the number, or empty.
    """

    collection: ClassVar[str]
    has_aliases: ClassVar[bool] = False

    id: str
    number: int | None = None
    alias: str = ""

    def __post_init__(self) -> None:
        validate_id(self.id, "id")
        if self.number is not None and not 1 <= self.number <= MAX_VERSION:
            raise InvalidFieldError(
                "number", f"must be 1 to {MAX_VERSION}, not {self.number}", reason="INVALID_NAME"
            )

    @classmethod
    def from_name(cls, text: str, field: str = "name") -> Self:
        """Parses a resource name; `latest` in the place of the number stands for the newest.

        Where the collection has aliases, one can stand there too.

        Args:
            text: The name.
            field: Path of the field it came from, for the error.

        Raises:
            InvalidFieldError: If it is no such name.
        """
        parts = text.split("/")
        if len(parts) != 4 or parts[0] != cls.collection or parts[2] != "versions":
            raise wrong_name(field, f"{cls.collection}/{{id}}/versions/{{number}}", text)
        if _ID.fullmatch(parts[1]) is None:
            raise wrong_name(field, f"{cls.collection}/{{id}}/versions/{{number}}", text)
        if _is_version(parts[3]):
            return cls(parts[1], None if parts[3] == LATEST else int(parts[3]))
        if not cls.has_aliases or _ID.fullmatch(parts[3]) is None:
            raise wrong_name(field, f"{cls.collection}/{{id}}/versions/{{number}}", text)
        return cls(parts[1], alias=parts[3])

    @property
    def name(self) -> str:
        """The resource name."""
        number = (self.alias or LATEST) if self.number is None else self.number
        return f"{self.collection}/{self.id}/versions/{number}"


@dataclass(frozen=True)
class DatasetVersionName(_VersionName):
    """`datasets/{id}/versions/{number}`."""

    collection = "datasets"

    @property
    def parent(self) -> DatasetName:
        """The data set."""
        return DatasetName(self.id)


@dataclass(frozen=True)
class ModelVersionName(_VersionName):
    """`models/{id}/versions/{number}`; an alias can stand for the number."""

    collection = "models"
    has_aliases = True

    @property
    def parent(self) -> ModelName:
        """The model."""
        return ModelName(self.id)


def validate_name(text: str, field: str = "name") -> str:
    """Checks that a text is the name of some stored resource: pairs of collection and id.

    Args:
        text: For example `models/iris/versions/3`; `latest` is no stored version.
        field: Path of the field it came from, for the error.

    Returns:
        The name.

    Raises:
        InvalidFieldError: If it is no resource name.
    """
    parts = text.split("/")
    if len(parts) % 2 or len(parts) > 8:
        raise wrong_name(field, "{collection}/{id}", text)
    if not all(map(_COLLECTION.fullmatch, parts[::2])):
        raise wrong_name(field, "{collection}/{id}", text)
    if not all(_ID.fullmatch(part) or _NUMBER.fullmatch(part) for part in parts[1::2]):
        raise wrong_name(field, "{collection}/{id}", text)
    return text


def validate_collection(text: str, field: str = "parent") -> str:
    """Checks that a text names a collection, for example `datasets/digits/versions`.

    Raises:
        InvalidFieldError: If it does not.
    """
    parent, _, collection = text.rpartition("/")
    if parent:
        validate_name(parent, field)
    if _COLLECTION.fullmatch(collection) is None:
        raise wrong_name(field, "{collection}", text)
    return text


def _is_version(text: str) -> bool:
    if text == LATEST:
        return True
    return _NUMBER.fullmatch(text) is not None and int(text) <= MAX_VERSION


def wrong_name(field: str, pattern: str, text: str) -> InvalidFieldError:
    """Returns the error for a text that is no resource name of a form.

    Args:
        field: Path of the field it came from.
        pattern: The form, for example `models/{id}/versions/{number}`.
        text: What was given.
    """
    given = f", not {quoted(text)}" if text else "; it is empty"
    numbers = "; numbers begin at 1" if "{number}" in pattern else ""
    return InvalidFieldError(
        field,
        f"must have the form `{pattern}`{given}. Ids are lower-case letters, digits and hyphens, "
        f"and begin with a letter{numbers}.",
        reason="INVALID_NAME",
    )
