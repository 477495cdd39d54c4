"""Requests with nothing wrong, for the fuzzer to change one field of; none creates a run."""

import re
from collections.abc import Sequence

from google.protobuf.message import Message

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import policy_pb2, study_pb2, tuner_pb2


def right_requests(names: Sequence[str]) -> list[Message]:
    """Returns a request for each method that takes more than a name.

    Args:
        names: Resources that exist, among them a data set's and a model's version and an upload.
    """
    version = _first(names, r"datasets/.*/versions/\d+")
    model = _first(names, r"models/.*/versions/\d+")
    upload = _first(names, "uploads/.*")
    training = trainer_pb2.TrainingSpec(dataset_version=version, model="models/fuzz-right")
    tuning = tuner_pb2.TuningSpec(dataset_version=version)
    tuning.budget.FromSeconds(10)
    return [
        dataset_pb2.CreateDatasetImportRequest(
            dataset_import=dataset_pb2.DatasetImport(
                spec=dataset_pb2.DatasetImportSpec(dataset="datasets/fuzz-right", upload=upload)
            ),
            validate_only=True,
        ),
        dataset_pb2.PreviewDatasetRequest(name=version),
        trainer_pb2.CreateTrainingRunRequest(
            training_run=trainer_pb2.TrainingRun(spec=training), validate_only=True
        ),
        outlier_pb2.CreateOutlierScanRequest(
            outlier_scan=outlier_pb2.OutlierScan(
                spec=outlier_pb2.OutlierScanSpec(dataset_version=version)
            ),
            validate_only=True,
        ),
        analyzer_pb2.CreateAnalysisRequest(
            analysis=analyzer_pb2.Analysis(spec=analyzer_pb2.AnalysisSpec(model_version=model)),
            validate_only=True,
        ),
        tuner_pb2.CreateTuningRunRequest(
            tuning_run=tuner_pb2.TuningRun(spec=tuning), validate_only=True
        ),
        policy_pb2.CreateTuningPolicyRequest(
            tuning_policy=policy_pb2.TuningPolicy(
                dataset=version.partition("/versions/")[0], paused=True
            )
        ),
        study_pb2.CreateStudyRequest(study=study_pb2.Study(spec=_study())),
        pruner_pb2.CreatePruningRunRequest(
            pruning_run=pruner_pb2.PruningRun(spec=pruner_pb2.PruningSpec(model_version=model)),
            validate_only=True,
        ),
    ]


def _study() -> study_pb2.StudySpec:
    spec = study_pb2.StudySpec(objectives=[study_pb2.StudyObjective(name="loss")])
    spec.parameters.add(name="x", number=study_pb2.NumberRange(low=0, high=1))
    spec.parameters.add(name="n", integer=study_pb2.IntegerRange(low=1, high=9))
    return spec


def _first(names: Sequence[str], pattern: str) -> str:
    return next(name for name in names if re.fullmatch(pattern, name))
