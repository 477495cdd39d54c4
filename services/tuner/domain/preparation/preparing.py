"""From columns as they are to numbers that estimators take."""

from enum import StrEnum
from typing import Any

from common.models.estimators.chain import Chain
from common.models.estimators.components import Components
from common.models.estimators.scaled_matrix import ScaledMatrix
from common.models.estimators.selection import Selection
from common.models.estimators.side_by_side import SideBySide
from common.models.estimators.table_codes import TableCodes
from common.models.estimators.target_codes import TargetCodes
from common.models.estimators.text_columns import TextColumns
from common.models.estimators.text_terms import CHARACTERS, WORDS, TextTerms
from services.tuner.domain.pictures import parts_of_pictures
from services.tuner.domain.preparation import parameters as names
from services.tuner.domain.preparation.columns import Columns
from services.tuner.domain.problem import Problem
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Parameter


class Wanted(StrEnum):
    """What a family takes."""

    CODES = "codes"
    """Numbers with NaN, categories as codes in columns of their own: for trees and boosting."""
    MATRIX = "matrix"
    """Numbers without NaN, of like scale, dense or sparse: for all others."""


def preparation_parameters(problem: Problem, wanted: Wanted) -> tuple[Parameter, ...]:
    """Returns what can be set of the preparation; names begin with `prepare.`."""
    if wanted is Wanted.MATRIX:
        return names.matrix_parameters(problem)
    return names.code_parameters(problem)


def preparation(problem: Problem, configuration: Configuration, wanted: Wanted, seed: int) -> Any:
    """Returns a transformer that is not fitted, over `Problem.features`.

    It can be fitted with a target (`fit_transform(features, truth)`), which target encodings need.
    What the configuration does not tell is as by default.
    """
    is_matrix = wanted is Wanted.MATRIX
    settings = names.settings_of(problem, configuration, is_matrix=is_matrix)
    columns = Columns.of(problem)
    parts = [_table(problem, columns, settings, is_matrix, seed)] if columns.has_table else []
    if columns.texts:
        parts.append(_texts(columns, settings, is_matrix, seed))
    if columns.pictures:
        parts.append(_pictures(columns, settings))
    steps: list[Any] = [parts[0] if len(parts) == 1 else SideBySide(parts)]
    if float(settings[names.SELECTION]) < 1:
        steps.append(Selection(float(settings[names.SELECTION]), problem.kind.has_classes))
    if int(settings[names.COMPONENTS]):
        steps.append(Components(int(settings[names.COMPONENTS]), seed))
    return steps[0] if len(steps) == 1 else Chain(steps)


def category_positions(problem: Problem, configuration: Configuration) -> list[int]:
    """Returns which columns of `Wanted.CODES` hold codes of categories without order."""
    settings = names.settings_of(problem, configuration, is_matrix=False)
    if settings[names.CATEGORIES] == names.TARGET:
        return []
    return Columns.of(problem).few_positions


def _table(
    problem: Problem, columns: Columns, settings: Configuration, is_matrix: bool, seed: int
) -> Any:
    """Returns what prepares all columns but texts."""
    parts: list[Any] = [
        TableCodes(columns.numbers, columns.few, columns.many, columns.times, is_matrix)
    ]
    targeted = _targeted(columns, settings)
    if targeted:
        smoothing = float(settings[names.SMOOTHING])
        parts.append(TargetCodes(targeted, problem.kind.has_classes, smoothing, seed))
    if is_matrix:
        parts.append(
            ScaledMatrix(
                _indicated(columns, settings),
                str(settings[names.SCALING]),
                str(settings[names.IMPUTATION]),
                int(settings[names.LEAST_ROWS]),
                int(settings[names.MOST_LEVELS]),
                len(columns.numbers) if settings[names.INTERACTIONS] else 0,
            )
        )
    return parts[0] if len(parts) == 1 else Chain(parts)


def _targeted(columns: Columns, settings: Configuration) -> list[int]:
    """Returns which codes are replaced by means of the target."""
    found = columns.few_positions if settings[names.CATEGORIES] == names.TARGET else []
    is_target = settings[names.HIGH_CARDINALITY] == names.TARGET
    return found + (columns.many_positions if is_target else [])


def _indicated(columns: Columns, settings: Configuration) -> list[int]:
    """Returns which codes get indicators, by their position after `TargetCodes`."""
    few = columns.few_positions if settings[names.CATEGORIES] == names.ONE_HOT else []
    if settings[names.HIGH_CARDINALITY] != names.ONE_HOT:
        return few
    moved = len(columns.few) if settings[names.CATEGORIES] == names.TARGET else 0
    return few + [position - moved for position in columns.many_positions]


def _pictures(columns: Columns, settings: Configuration) -> Any:
    """Returns what takes numbers of pictures as they are: their scales say what they weigh."""
    groups = names.PICTURE_GROUPS[str(settings[names.PICTURES])]
    most = int(settings[names.PICTURE_COLUMNS])
    return TableCodes(parts_of_pictures(columns.pictures, groups, most))


def _texts(columns: Columns, settings: Configuration, is_matrix: bool, seed: int) -> Any:
    least, most = int(settings[names.TEXT_LEAST]), int(settings[names.TEXT_TERMS])
    is_hashed = bool(settings[names.TEXT_HASHING])
    terms = [TextTerms(WORDS, int(settings[names.TEXT_WORDS]), least, most, is_hashed)]
    characters = int(settings[names.TEXT_CHARACTERS])
    if characters:
        terms.append(TextTerms(CHARACTERS, characters, least, most, is_hashed))
    components = 0 if is_matrix else int(settings[names.TEXT_COMPONENTS])
    return TextColumns(columns.texts, terms, components, seed)
