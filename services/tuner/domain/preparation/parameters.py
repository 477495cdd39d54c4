"""What can be set of a preparation: only what matters for the columns of a problem."""

from collections.abc import Mapping

from common.data.schema import ColumnType
from common.models.estimators.picture_columns import COLOURS, GROUPS, PATCHES, SHAPES
from services.tuner.domain.preparation.columns import WIDE, Columns, levels
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.parameter import Choice, Condition, Float, Integer, Parameter

CATEGORIES = "prepare.categories"
HIGH_CARDINALITY = "prepare.high_cardinality"
SMOOTHING = "prepare.smoothing"
LEAST_ROWS = "prepare.least_rows"
MOST_LEVELS = "prepare.most_levels"
SCALING = "prepare.scaling"
IMPUTATION = "prepare.imputation"
INTERACTIONS = "prepare.interactions"
SELECTION = "prepare.selection"
COMPONENTS = "prepare.components"
TEXT_WORDS = "prepare.text_words"
TEXT_CHARACTERS = "prepare.text_characters"
TEXT_TERMS = "prepare.text_terms"
TEXT_LEAST = "prepare.text_least"
TEXT_COMPONENTS = "prepare.text_components"
TEXT_HASHING = "prepare.text_hashing"
PICTURES = "prepare.pictures"
PICTURE_COLUMNS = "prepare.picture_columns"

CODES, ONE_HOT, TARGET, ORDINAL, RANK = "codes", "one_hot", "target", "ordinal", "rank"

_MOST_INTERACTING = 12
_TWO_LEVELS = 2
_SOME_LEVELS = 10
_FEWEST_PRESSED = 20
_COMPONENTS = (8, 16, 32, 64, 128)
# Characters of all texts from which a list of terms takes hundreds of megabytes.
_HUGE_TEXTS = 50_000_000

ALL_TOLD = "all"
PICTURE_GROUPS: Mapping[str, tuple[str, ...]] = {
    ALL_TOLD: GROUPS,
    "shapes_and_patches": (SHAPES, PATCHES),
    "patches_and_colours": (PATCHES, COLOURS),
    "shapes": (SHAPES,),
    "patches": (PATCHES,),
}
"""What is taken of what is told of pictures."""

_DEFAULTS: Mapping[str, Setting] = {
    CATEGORIES: CODES,
    HIGH_CARDINALITY: TARGET,
    SMOOTHING: 10.0,
    LEAST_ROWS: 1,
    MOST_LEVELS: 1000,
    SCALING: "standard",
    IMPUTATION: "mean",
    INTERACTIONS: False,
    SELECTION: 1.0,
    COMPONENTS: 0,
    TEXT_WORDS: 1,
    TEXT_CHARACTERS: 0,
    TEXT_TERMS: 50_000,
    TEXT_LEAST: 2,
    TEXT_COMPONENTS: 64,
    TEXT_HASHING: False,
    PICTURES: ALL_TOLD,
    PICTURE_COLUMNS: 128,
}


def code_parameters(problem: Problem) -> tuple[Parameter, ...]:
    """Returns what can be set where trees take the columns."""
    columns = Columns.of(problem)
    found: list[Parameter] = []
    if _most_levels(problem, columns) > _TWO_LEVELS:
        found.append(Choice(CATEGORIES, (CODES, TARGET), CODES))
    if columns.many:
        found.append(Choice(HIGH_CARDINALITY, (TARGET, RANK), TARGET))
    found += _smoothing(found)
    if columns.texts:
        found.append(Integer(TEXT_COMPONENTS, 16, 256, 64, is_log=True))
        found.append(Choice(TEXT_CHARACTERS, (0, 4), 0))
    found += _picture_parameters(columns, 32)
    if not columns.few and _width(problem, columns) >= WIDE:
        found.append(Float(SELECTION, 0.05, 1.0, 1.0, is_log=True))
    return tuple(found)


def matrix_parameters(problem: Problem) -> tuple[Parameter, ...]:
    """Returns what can be set where other estimators take the columns."""
    columns = Columns.of(problem)
    found: list[Parameter] = [*_number_parameters(problem, columns)]
    found += _category_parameters(problem, columns)
    if columns.texts:
        found += _text_parameters(problem)
    found += _picture_parameters(columns, 128)
    width = _width(problem, columns)
    if width >= WIDE or columns.texts:
        found.append(Float(SELECTION, 0.05, 1.0, 1.0, is_log=True))
    if width >= _FEWEST_PRESSED or columns.texts:
        fitting = [each for each in _COMPONENTS if columns.texts or each < width]
        found.append(Choice(COMPONENTS, (0, *fitting), 0))
    return tuple(found)


def settings_of(
    problem: Problem, configuration: Configuration, *, is_matrix: bool
) -> Configuration:
    """Returns the value of every parameter: as told, or the default.

    What a problem does not offer is as by default, and so is what was told of it: a configuration
    may come from another problem.
    """
    offered = matrix_parameters(problem) if is_matrix else code_parameters(problem)
    defaults = {**_DEFAULTS, CATEGORIES: ONE_HOT if is_matrix else CODES}
    if not is_matrix and Columns.of(problem).texts:
        defaults[TEXT_WORDS] = 2
    told = {each.name: configuration.get(each.name, each.default) for each in offered}
    return {**defaults, **told}


def _number_parameters(problem: Problem, columns: Columns) -> list[Parameter]:
    if not columns.numbers and not columns.times:
        return []
    scalings = ("standard", "robust", "quantile", "mixed")
    found: list[Parameter] = [Choice(SCALING, scalings, "standard")]
    numbers = set(columns.numbers)
    if any(each.missing_count for each in problem.columns if each.name in numbers):
        found.append(Choice(IMPUTATION, ("mean", "median"), "mean"))
    if _TWO_LEVELS <= len(columns.numbers) <= _MOST_INTERACTING:
        found.append(Choice(INTERACTIONS, (False, True), False))
    return found


def _category_parameters(problem: Problem, columns: Columns) -> list[Parameter]:
    found: list[Parameter] = []
    most = _most_levels(problem, columns)
    if most > _TWO_LEVELS:
        found.append(Choice(CATEGORIES, (ONE_HOT, TARGET, ORDINAL), ONE_HOT))
    if columns.many:
        found.append(Choice(HIGH_CARDINALITY, (TARGET, ONE_HOT, RANK), TARGET))
    if most > _SOME_LEVELS or columns.many:
        found.append(Integer(LEAST_ROWS, 1, 50, 1, is_log=True))
    if columns.many:
        is_shown = Condition(HIGH_CARDINALITY, (ONE_HOT,))
        found.append(Integer(MOST_LEVELS, 50, 5000, 1000, is_log=True, when=is_shown))
    return found + _smoothing(found)


def _smoothing(others: list[Parameter]) -> list[Parameter]:
    """Returns how targets are smoothed, where one of the others says that they are used."""
    by_name = {each.name: each for each in others}
    parent = HIGH_CARDINALITY if HIGH_CARDINALITY in by_name else CATEGORIES
    if parent not in by_name:
        return []
    is_used = Condition(parent, (TARGET,))
    return [Float(SMOOTHING, 1.0, 200.0, 10.0, is_log=True, when=is_used)]


def _text_parameters(problem: Problem) -> list[Parameter]:
    found: list[Parameter] = [
        Choice(TEXT_WORDS, (1, 2), 1),
        Choice(TEXT_CHARACTERS, (0, 3, 4, 5), 0),
        Integer(TEXT_TERMS, 1000, 200_000, 50_000, is_log=True),
        Integer(TEXT_LEAST, 1, 10, 2, is_log=True),
    ]
    lengths = [each.text_length for each in problem.columns if each.type is ColumnType.TEXT]
    total = sum(each.mean for each in lengths if each is not None) * problem.row_count
    if total > _HUGE_TEXTS:
        found.append(Choice(TEXT_HASHING, (True, False), True))
    return found


def _width(problem: Problem, columns: Columns) -> int:
    """Returns the number of columns; what is told of pictures is pressed already."""
    return len(problem.columns) - len(columns.pictures)


def _picture_parameters(columns: Columns, usual: int) -> list[Parameter]:
    if not columns.pictures:
        return []
    return [
        Choice(PICTURES, tuple(PICTURE_GROUPS), ALL_TOLD),
        Integer(PICTURE_COLUMNS, 8, 128, usual, is_log=True),
    ]


def _most_levels(problem: Problem, columns: Columns) -> int:
    few = set(columns.few)
    return max((levels(each) for each in problem.columns if each.name in few), default=0)
