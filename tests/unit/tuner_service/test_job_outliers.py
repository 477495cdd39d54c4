"""A search with the marks of a scan, from its record to its model."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact, read_artifact
from common.scoring.outlier_uses import BASELINE
from services.tuner import job
from services.tuner.domain.search import counterparts
from services.tuner.domain.search.tuning import Tuned, tune
from tests.unit.tuner_service.test_job import ROWS, FakeCatalog, attempt, bench, create_run

NAME, SCAN = "tuningRuns/marked", "outlierScans/s"
BUDGET = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def marked_run(catalog: FakeCatalog) -> tuner_pb2.TuningRun:
    """Works on a search whose scan marks rows at random."""
    odd = np.random.default_rng(5).random(ROWS) < 0.1
    buffer = io.BytesIO()
    scores = {
        "marked": pa.array(odd),
        "probability": pa.array(np.where(odd, 0.9, 0.1), pa.float32()),
    }
    pq.write_table(pa.table(scores), buffer)
    stored = put_artifact(
        catalog.store, "scores.parquet", buffer.getvalue(), "application/octet-stream"
    )
    outliers = tuner_pb2.OutlierMarks(scan=SCAN, scores=stored)
    create_run(catalog.store, NAME, BUDGET, outliers=outliers)
    return attempt(catalog, NAME)


def test_the_record_tells_what_the_marks_were_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the whole way: trials with marks, proof, record, page, lineage; random marks."""
    catalog = bench(monkeypatch)
    monkeypatch.setattr(counterparts, "_ROUNDS", (0.05, 0.3))
    found: list[Tuned] = []

    def remembered(*given: object) -> Tuned:
        found.append(tune(*given))  # type: ignore[arg-type]
        return replace(found[0])

    monkeypatch.setattr(job, "tune", remembered)
    run = marked_run(catalog)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
    outcome, library = run.summary.outliers, found[0].library
    assert outcome.scan == SCAN and outcome.candidate_count >= 1
    assert [each.use for each in outcome.comparison.results] == [
        trainer_pb2.OUTLIER_USE_KEEP,
        trainer_pb2.OUTLIER_USE_DROP,
        trainer_pb2.OUTLIER_USE_DOWN_WEIGHT,
    ]
    keep = outcome.comparison.results[0]
    assert 0.5 < keep.mean <= 1, "an AUC, as the metric is known"
    assert outcome.verdict in run.summary.verdict
    members = {library.entries[each.candidate].candidate.use for each in run.summary.members}
    assert members <= {BASELINE, library.adopted}
    assert SCAN in run.status.lineage.inputs
    assert SCAN in catalog.registered[0].lineage.inputs
    page = b"".join(read_artifact(catalog.store, run.report)).decode()
    assert "With the marks of an outlier scan" in page and SCAN in page
    content = b"".join(read_artifact(catalog.store, run.candidates))
    listed = tuner_pb2.ListCandidatesResponse.FromString(content).candidates
    by_marks = [each for each in listed if each.outlier_use]
    assert by_marks
    assert {each.origin for each in by_marks} <= {
        tuner_pb2.CANDIDATE_ORIGIN_OUTLIERS,
        tuner_pb2.CANDIDATE_ORIGIN_STACKING,
        tuner_pb2.CANDIDATE_ORIGIN_REPEATED,
    }
