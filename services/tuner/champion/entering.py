"""From a search under way to its contest with a champion."""

from pathlib import Path

from aimass.catalog.v1 import dataset_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.calls.catalog import ask_catalog
from common.runs.owner import RunOwner
from common.scoring.metric import Metric
from services.tuner.budget import Budget
from services.tuner.champion.contest import Contest, Place, known_champion, open_contest
from services.tuner.domain.specification import TuningSpecification
from services.tuner.loading import Loaded

_LEAST_SECONDS = 60.0


def contest_of(
    owner: RunOwner[tuner_pb2.TuningRun],
    specification: TuningSpecification,
    version: dataset_pb2.DatasetVersion,
    loaded: Loaded,
    metric: Metric,
    budget: Budget,
    folder: Path,
) -> Contest | None:
    """Has the champion of a search predict the test rows beside it, in a process of its own.

    Args:
        owner: The search.
        specification: Its specification, resolved.
        version: Its data.
        loaded: What was read of them.
        metric: What counts.
        budget: Its time.
        folder: For files; a new one is made in it.

    Returns:
        What it will have said in the end; None where none is named.

    Raises:
        FailedPreconditionError: There is nothing to compare on.
    """
    name = specification.champion
    if not name:
        return None
    owner.progress(0.0, "asking the champion")
    assert specification.trial_memory_bytes is not None, "the specification is not resolved"
    files = folder / "champion"
    files.mkdir()
    place = Place(
        store=owner.store,
        folder=files,
        memory_bytes=specification.trial_memory_bytes,
        seconds=max(budget.seconds, _LEAST_SECONDS),
        check=owner.check_cancelled,
    )
    champion = ask_catalog(lambda catalog: known_champion(catalog, name))
    contest = open_contest(specification, version, loaded, champion, metric, place)
    for each in contest.notes:
        owner.log(each, event_pb2.SEVERITY_WARNING, source="champion")
    return contest
