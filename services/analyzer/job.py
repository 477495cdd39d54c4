"""Entry point of an analysis's own process: `python -m services.analyzer.job NAME | --standby`."""

import sys
from contextlib import suppress
from pathlib import Path

from aimass.analyzer.v1 import analyzer_pb2
from aimass.type.v1 import artifact_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.purge import purge_prefix
from common.errors import FailedPreconditionError, UnavailableError
from common.runs.job import run_job
from common.runs.owner import RunOwner
from common.runs.scratch import scratch_folder
from services.analyzer.convert import outcomes_to_proto, results_to_proto, specification_from_proto
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.part import PartName, PartState
from services.analyzer.kind import ANALYSES
from services.analyzer.loading import load_subjects
from services.analyzer.outcome import Outcome, analysed, compared

Owner = RunOwner[analyzer_pb2.Analysis]

_HTML = "text/html; charset=utf-8"
_PROTOBUF = "application/x-protobuf"
_CURE = "make room there, or set TMPDIR to a folder with room, and analyse again"
_LOADED, _WORKED = 0.1, 0.95


def run_analysis(owner: Owner) -> None:
    """Works on what the run asks for and publishes what was found."""
    try:
        with scratch_folder("analysis", owner.run, None, _CURE) as folder:
            outcome = _work(owner, folder)
    except UnusableModelError as error:
        raise FailedPreconditionError(str(error), reason="MODEL_CANNOT_BE_ANALYSED") from error
    if all(each.state is PartState.FAILED for each in outcome.parts):
        first = outcome.parts[0]
        raise FailedPreconditionError(
            f"All parts failed; {first.part}: {' '.join(first.notes)}", reason="ALL_PARTS_FAILED"
        )
    _publish(owner, outcome)


def _work(owner: Owner, folder: Path) -> Outcome:
    specification = specification_from_proto(owner.run.spec)
    owner.progress(0.0, "loading")
    subjects = load_subjects(specification, owner.store, folder, owner.check_cancelled)

    def progress(part: PartName, done: float) -> None:
        owner.check_cancelled()
        owner.progress(_LOADED + (_WORKED - _LOADED) * done, part)

    check = owner.check_cancelled
    if specification.is_comparison:
        return compared(owner.name, specification, subjects, progress, check)
    return analysed(owner.name, specification, subjects[0], progress, check)


def _publish(owner: Owner, outcome: Outcome) -> None:
    owner.progress(_WORKED, "publishing")
    prefix = f"{owner.attempt_prefix}analysis/"
    summary = analyzer_pb2.AnalysisSummary(
        verdict=outcome.verdict,
        row_count=outcome.row_count,
        metrics=outcome.metrics,
        parts=outcomes_to_proto(outcome.parts),
    )
    results = results_to_proto(outcome.summaries)
    summary.findings.extend(results.health.findings)
    try:
        found = analyzer_pb2.Analysis(
            summary=summary,
            report=_put(owner, f"{prefix}report.html", outcome.page.encode(), _HTML),
            results=_put(owner, f"{prefix}results.binpb", results.SerializeToString(), _PROTOBUF),
        )
    except Exception:
        with suppress(UnavailableError):
            purge_prefix(owner.store, prefix)
        raise
    owner.succeed(lambda run: run.MergeFrom(found))


def _put(owner: Owner, key: str, content: bytes, media_type: str) -> artifact_pb2.ArtifactRef:
    return put_artifact(owner.store, key, content, media_type)


def main() -> int:
    """Works on one analysis; returns the exit code of the process."""
    return run_job(ANALYSES, run_analysis, resumes=False)


if __name__ == "__main__":
    sys.exit(main())
