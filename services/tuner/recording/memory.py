"""What a search knows from before, and keeps for whoever goes on with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aimass.tuner.v1 import tuner_pb2
from common.artifacts.blobs import read_artifact
from common.runs.owner import RunOwner
from common.scoring.kinds import ProblemKind
from services.tuner.continuing import has_same_trials
from services.tuner.convert import specification_from_proto
from services.tuner.domain.history import History, step_of
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.trial_loop import Watch
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.specification import TuningSpecification
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.recording.recalling import Recalled
from services.tuner.recording.recorder import Recorder

_MOST_FIRST = 16
"""So many candidates of a search in other data are tried first."""

Owner = RunOwner[tuner_pb2.TuningRun]


class Memory:
    """What a search knows from before, and keeps for whoever goes on with it.

    Attributes:
        earlier: What it begins with.
    """

    def __init__(self, owner: Owner, specification: TuningSpecification, folder: Path) -> None:
        """Reads what is known.

        Args:
            owner: The run.
            specification: Of the search.
            folder: Exists; estimators come there.
        """
        self._owner = owner
        self._keeps_models = specification.kind is not ProblemKind.FORECASTING
        name = specification.continue_from
        other = owner.records.get(name, tuner_pb2.TuningRun).resource if name else None
        is_same = other is not None and has_same_trials(
            specification, specification_from_proto(other.spec)
        )
        self._recalled = Recalled(owner.store, owner.name, folder, name if is_same else "")
        self.earlier = self._recalled.earlier()
        if other is not None and not self.earlier.entries:
            self.earlier = replace(self.earlier, first=_found(owner, other))
        self._tell(name)

    def history(self, spent: float) -> History:
        """Returns the trials that are known.

        Args:
            spent: Seconds since the run began.
        """
        history = History()
        steps = [step_of(each.result, each.seconds) for each in self._recalled.trials]
        if steps:
            history.go_on(steps, spent)
        return history

    @contextmanager
    def kept(self, watch: Watch) -> Iterator[Watch]:
        """Keeps the trials that end meanwhile.

        Args:
            watch: Hears of these, too.

        Yields:
            What is to be told of them.
        """
        recalled = self._recalled
        recorder = Recorder(self._owner, recalled.plan, recalled.held_bytes, self._keeps_models)

        def told(library: Library, result: TrialResult) -> None:
            recorder.watch(library, result)
            watch(library, result)

        try:
            yield told
        except BaseException:
            recorder.stop()
            raise
        recorder.close()

    def _tell(self, name: str) -> None:
        count, first = len(self._recalled.trials), len(self.earlier.first)
        if count:
            self._owner.log(
                f"{count} trials of {self._recalled.candidate_count} candidates are known from "
                f"before{f', also from {name}' if name else ''}: none is fitted again.",
                source="search",
            )
        elif name:
            self._owner.log(f"{first} candidates of {name} are tried first.", source="search")


def _found(owner: Owner, run: tuner_pb2.TuningRun) -> Sequence[tuple[str, Configuration]]:
    """Returns the best candidates of a search, those of its model before all."""
    content = b"".join(read_artifact(owner.store, run.candidates))
    listed = tuner_pb2.ListCandidatesResponse.FromString(content).candidates
    tried = [
        each for each in listed if each.HasField("score") and not (each.bases or each.outlier_use)
    ]
    order = sorted(tried, key=lambda each: -each.weight)
    return [(each.family, _configuration(each)) for each in order[:_MOST_FIRST]]


def _configuration(candidate: tuner_pb2.Candidate) -> Configuration:
    return {
        name: getattr(each, str(each.WhichOneof("value")))
        for name, each in candidate.settings.items()
    }
