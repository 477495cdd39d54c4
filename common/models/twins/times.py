"""What a calendar tells of times, as ONNX operators: see `common.models.estimators.calendar`."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from common.models.estimators.calendar import CYCLES, PARTS, compared
from common.models.twins.graph import Graph

_DAY = 86_400.0
_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0
_LONGEST = 366
# Days from the first of March of the year 0, where eras of 400 years begin, to 1970.
_SHIFT = 719_468


def told_times(graph: Graph, times: Sequence[str], is_cyclic: bool) -> list[str]:
    """Returns what a calendar tells of columns of seconds, and the seconds between them."""
    found = [_calendar(graph, each, is_cyclic) for each in times]
    for early, late in compared(len(times)):
        found.append(graph.upright(graph.add("Sub", times[late], times[early])))
    return found


def _calendar(graph: Graph, seconds: str, is_cyclic: bool) -> str:
    not_early = graph.add("GreaterOrEqual", seconds, graph.constant(_EARLIEST))
    not_late = graph.add("LessOrEqual", seconds, graph.constant(_LATEST))
    is_known = graph.add("And", not_early, not_late)
    known = graph.add("Where", is_known, seconds, graph.constant(0.0))
    days = graph.add("Floor", graph.add("Div", known, graph.constant(_DAY)))
    parts = dict(zip(PARTS, _parts(graph, known, days), strict=True))
    columns = [graph.upright(each) for each in parts.values()]
    for part, (start, length) in CYCLES.items() if is_cyclic else ():
        columns += [
            graph.upright(_wave(graph, parts[part], wave, start, length)) for wave in ("Sin", "Cos")
        ]
    matrix = graph.beside(columns)
    return graph.add("Where", graph.upright(is_known), matrix, graph.constant(np.nan))


def _wave(graph: Graph, part: str, wave: str, start: float, length: float) -> str:
    """Returns the sine or cosine of where times are in a cycle.

    Of whole numbers they are looked up: where columns are brought to quantiles, equal values must
    be equal to the last bit, and another library's sine is not.
    """
    angles = 2 * np.pi * (np.arange(_LONGEST + 1.0) - start) / length
    table = graph.constant(np.sin(angles) if wave == "Sin" else np.cos(angles))
    below = graph.add("Floor", part)
    whole = graph.add("Gather", table, graph.cast(below, TensorProto.INT64), axis=0)
    shifted = graph.add("Sub", part, graph.constant(float(start)))
    angle = graph.add("Mul", shifted, graph.constant(2 * np.pi / length))
    return graph.add("Where", graph.add("Equal", below, part), whole, graph.add(wave, angle))


def _parts(graph: Graph, known: str, days: str) -> list[str]:
    """Returns the parts of times in their order.

    Dates by Hinnant's algorithm, in whole numbers, all above zero.
    """
    number = graph.cast(days, TensorProto.INT64)
    year, month, day = _date(graph, number)
    before = graph.add("Sub", year, graph.ints([1]))
    leaps = [_over(graph, before, each) for each in (4, 100, 400)]
    start = graph.add("Mul", before, graph.ints([365]))
    start = graph.add(
        "Add", graph.add("Sub", graph.add("Add", start, leaps[0]), leaps[1]), leaps[2]
    )
    # The first day of year 1 is 719,162 days before 1970.
    of_year = graph.add("Sub", graph.add("Add", number, graph.ints([719_163])), start)
    weekday = graph.add("Mod", graph.add("Add", number, graph.ints([3])), graph.ints([7]))
    into_day = graph.add("Sub", known, graph.add("Mul", days, graph.constant(_DAY)))
    hour = graph.add("Div", into_day, graph.constant(3600.0))
    whole = [graph.cast(each) for each in (year, month, day, of_year, weekday)]
    return [known, *whole, hour]


def _date(graph: Graph, number: str) -> tuple[str, str, str]:
    shifted = graph.add("Add", number, graph.ints([_SHIFT]))
    era = _over(graph, shifted, 146_097)
    of_era = graph.add("Sub", shifted, graph.add("Mul", era, graph.ints([146_097])))
    corrected = graph.add("Sub", of_era, _over(graph, of_era, 1_460))
    corrected = graph.add("Add", corrected, _over(graph, of_era, 36_524))
    corrected = graph.add("Sub", corrected, _over(graph, of_era, 146_096))
    year_of_era = _over(graph, corrected, 365)
    passed = graph.add("Mul", year_of_era, graph.ints([365]))
    passed = graph.add("Add", passed, _over(graph, year_of_era, 4))
    passed = graph.add("Sub", passed, _over(graph, year_of_era, 100))
    of_year = graph.add("Sub", of_era, passed)
    five = graph.add("Add", graph.add("Mul", of_year, graph.ints([5])), graph.ints([2]))
    from_march = _over(graph, five, 153)
    gone = graph.add("Add", graph.add("Mul", from_march, graph.ints([153])), graph.ints([2]))
    day = graph.add("Add", graph.add("Sub", of_year, _over(graph, gone, 5)), graph.ints([1]))
    is_late = graph.add("Less", from_march, graph.ints([10]))
    shift = graph.add("Where", is_late, graph.ints([3]), graph.ints([-9]))
    month = graph.add("Add", from_march, shift)
    year = graph.add("Add", year_of_era, graph.add("Mul", era, graph.ints([400])))
    is_next = graph.cast(graph.add("LessOrEqual", month, graph.ints([2])), TensorProto.INT64)
    return graph.add("Add", year, is_next), month, day


def _over(graph: Graph, number: str, divisor: int) -> str:
    return graph.add("Div", number, graph.ints([divisor]))
