"""Whether a search may have networks trained, beside the families that it tries itself."""

from collections.abc import Sequence

from common.data.schema import LABEL_TYPES, Column, ColumnType
from services.tuner.domain.names import DEEP_IMAGE, DEEP_TABLE, DEEP_TEXT, TRAINED_KINDS
from services.tuner.domain.resolution.columns import is_identifier
from services.tuner.domain.resolution.data import TuningData, refused
from services.tuner.domain.specification import TuningSpecification

TABLE_TYPES = LABEL_TYPES | {ColumnType.NUMERIC}
"""What networks of tables take."""

_FEWEST_JUDGED = 20
_PICTURE_SECONDS, _TEXT_SECONDS, _TABLE_SECONDS = 20.0, 30.0, 120.0
_TABLE_ROWS = 2_000


def with_networks(
    specification: TuningSpecification,
    was_named: bool,
    data: TuningData,
    features: Sequence[Column],
) -> tuple[str, ...]:
    """Returns the families of a specification, with those that the trainer trains.

    Args:
        specification: Resolved otherwise.
        was_named: Whether the caller named families.
        data: The data.
        features: The columns that are learned from.

    Raises:
        InvalidFieldError: A family that was named does not fit the data, or there is no other.
    """
    names = specification.families
    if was_named:
        _check(names, _reasons(specification, data, features))
        return names
    if specification.kind not in TRAINED_KINDS[DEEP_TABLE]:
        return names
    reasons = _reasons(specification, data, features)
    worth = [name for name in TRAINED_KINDS if not reasons[name]]
    return (*names, *(name for name in worth if _pays(name, specification, data, features)))


def _check(names: Sequence[str], reasons: dict[str, str]) -> None:
    for place, name in enumerate(names):
        if reasons.get(name):
            raise refused(f"families[{place}]", f"`{name}` {reasons[name]}.", "FAMILY_DOES_NOT_FIT")
    if all(name in TRAINED_KINDS for name in names):
        raise refused(
            "families", "Networks join a search: name another family beside, `linear` for instance."
        )


def _reasons(
    specification: TuningSpecification, data: TuningData, features: Sequence[Column]
) -> dict[str, str]:
    """Returns why each family of networks is not for the data; empty where it is."""
    pictures = [each for each in features if each.type is ColumnType.IMAGE]
    numbers = [each for each in features if each.type in TABLE_TYPES]
    texts = _texts(data, features)
    common = ""
    if data.counts.validation < _FEWEST_JUDGED:
        common = f"is judged on validation rows, of which {_FEWEST_JUDGED} are the least"
    elif specification.group_column:
        common = "does not keep groups together; leave `group_column` out or do without it"
    return {
        DEEP_IMAGE: common or ("" if len(pictures) == 1 else "needs one column of images"),
        DEEP_TABLE: common or ("" if numbers else "needs columns of numbers or categories"),
        DEEP_TEXT: common or ("" if texts else "needs a column of texts that are no identifiers"),
    }


def _texts(data: TuningData, features: Sequence[Column]) -> list[Column]:
    rows = data.counts.total
    texts = [each for each in features if each.type is ColumnType.TEXT]
    return [each for each in texts if not is_identifier(each, rows)]


def _pays(
    name: str, specification: TuningSpecification, data: TuningData, features: Sequence[Column]
) -> bool:
    """Whether networks are worth their time where nobody asked for them."""
    if name == DEEP_IMAGE:
        return specification.budget >= _PICTURE_SECONDS
    if name == DEEP_TEXT:
        # Beside many columns of other kinds a text, a name for instance, seldom decides.
        is_of_texts = 2 * len(_texts(data, features)) >= len(features)
        return is_of_texts and specification.budget >= _TEXT_SECONDS
    has_picture = any(each.type is ColumnType.IMAGE for each in data.schema.columns)
    is_large = data.counts.train >= _TABLE_ROWS and specification.budget >= _TABLE_SECONDS
    return is_large and not has_picture
