"""Where the results of a search go: files in the store, a version in the catalog."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aimass.catalog.v1 import model_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.purge import purge_prefix
from common.calls.catalog import Catalog
from common.errors import UnavailableError
from common.runs.owner import RunOwner
from common.scoring.metric import Metric
from services.tuner.domain.ensemble.joining import Joined
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.search.library import Library
from services.tuner.domain.specification import TuningSpecification
from services.tuner.leaderboard import ranked_candidates, write_leaderboard
from services.tuner.trainings.listing import with_guests

Ask = Callable[[Callable[[Catalog], Awaitable[model_pb2.ModelVersion]]], model_pb2.ModelVersion]

_PARQUET = "application/vnd.apache.parquet"
_HTML = "text/html; charset=utf-8"
_PROTOBUF = "application/x-protobuf"


class Publication:
    """Publishes what one attempt at a search has found."""

    def __init__(
        self,
        owner: RunOwner[tuner_pb2.TuningRun],
        specification: TuningSpecification,
        folder: Path,
        ask: Ask,
    ) -> None:
        """Has published nothing yet.

        Args:
            owner: The search.
            specification: Resolved.
            folder: For files on their way.
            ask: Asks the catalog, see `ask_catalog`.
        """
        self._owner = owner
        self._specification = specification
        self._folder = folder
        self._ask = ask
        self._prefix = f"{owner.attempt_prefix}tuning/"

    @property
    def model_prefix(self) -> str:
        """Begins the keys of the model's files."""
        return f"{self._prefix}model/"

    @contextmanager
    def tidy(self) -> Iterator[None]:
        """Removes the files again where what is done within fails.

        Afterwards they may be those of a version that exists, or that another attempt makes: if
        nobody comes to refer to them, they are swept.
        """
        try:
            yield
        except Exception:
            with suppress(UnavailableError):
                purge_prefix(self._owner.store, self._prefix)
            raise

    def listed(
        self, library: Library, metric: Metric, ensemble: Ensemble, joined: Joined | None = None
    ) -> tuner_pb2.TuningRun:
        """Publishes the candidates, with what joined from outside; returns where they are."""
        entries = library.entries.values()
        candidates = ranked_candidates(entries, metric, ensemble.weights)
        if joined is not None:
            candidates = with_guests(candidates, library.fold_count, metric, joined)
        path = self._folder / "leaderboard.parquet"
        write_leaderboard(candidates, path)
        content = tuner_pb2.ListCandidatesResponse(candidates=candidates).SerializeToString()
        return tuner_pb2.TuningRun(
            leaderboard=self._put("leaderboard.parquet", path, _PARQUET),
            candidates=self._put("candidates.binpb", content, _PROTOBUF),
        )

    def add_page(self, found: tuner_pb2.TuningRun, page: str) -> None:
        """Publishes the page, where there is one."""
        if page:
            found.report.CopyFrom(self._put("report.html", page.encode(), _HTML))

    def register(self, model: model_pb2.ModelVersion, found: tuner_pb2.TuningRun) -> None:
        """Registers the model in the catalog; what was found names it then."""
        owner, summary = self._owner, found.summary
        model.metrics[f"validation/{summary.metric}"] = summary.score.value
        if summary.HasField("test_score"):
            model.metrics[f"test/{summary.metric}"] = summary.test_score.value
        model.labels.update(owner.run.labels)
        model.lineage.inputs.extend([self._specification.dataset_version, owner.name])
        model.lineage.inputs.extend(found.status.lineage.inputs)
        name = self._specification.model
        made = self._ask(lambda catalog: catalog.register(owner, name, model, despite_cancel=True))
        found.model_version = made.name
        found.status.lineage.outputs.append(made.name)

    def _put(self, file: str, content: bytes | Path, media_type: str) -> artifact_pb2.ArtifactRef:
        return put_artifact(self._owner.store, f"{self._prefix}{file}", content, media_type)
