"""What another search found is given first, best first; nothing that is known is given again."""

import numpy as np
import pandas as pd

from common.data.schema import Column, ColumnType
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.search.library import CONTINUED, FLOOR, Library
from services.tuner.domain.search.sources import Sources
from services.tuner.domain.trials.trial import Candidate, Split

ROWS = 60


def test_what_another_search_found_comes_first() -> None:
    """Settings of families that there are; a floor among them stays one."""
    values = np.random.default_rng(0).normal(size=(ROWS, 2))
    columns = tuple(Column(name, ColumnType.NUMERIC) for name in "ab")
    truth = (values[:, 0] > 0).astype(np.int64)
    features = pd.DataFrame(values, columns=["a", "b"])
    problem = Problem(ProblemKind.BINARY, columns, features, truth, ("no", "yes"))
    families = [FAMILIES[name] for name in ("linear", "random_forest")]
    sources = Sources(problem, families, 0)
    rows = np.arange(ROWS)
    library = Library([Split(rows[::2], rows[1::2])])
    floor, _ = Sources(problem, families, 0).next(library)
    own = FAMILIES["linear"].space(problem).completed({"C": 7.0})
    library.register(Candidate(4, "linear", own), CONTINUED)
    found = [
        ("linear", {"C": 3.0}),
        ("gone", {}),
        (floor.family, floor.configuration),
        ("linear", own),
    ]
    sources.go_on(library, found)
    first, second = (sources.next(library) for _ in range(2))
    assert (first[0].number, first[0].configuration["C"], first[1]) == (5, 3.0, CONTINUED)
    assert (second[0].configuration, second[1]) == (floor.configuration, FLOOR)
    later = [sources.next(library)[0] for _ in range(4)]
    assert own not in [each.configuration for each in later]
