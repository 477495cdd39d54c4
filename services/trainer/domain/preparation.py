"""What a coordinator does before the first world: fit the preprocessing, write the job file."""

from google.protobuf import json_format

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.trainer.v1 import trainer_pb2
from common.artifacts.protocol import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.models.preprocessing import NumericColumn, Preprocessing
from common.models.store import read_preprocessing
from services.trainer.domain.fitting import columns_needed, fit_preprocessing
from services.trainer.domain.forecasts.fitting import fit_covariates
from services.trainer.domain.forecasts.specification import forecast_preprocessing
from services.trainer.domain.job import Job, write_job
from services.trainer.domain.outliers.preparation import prepare_outliers
from services.trainer.domain.specification import TrainingSpecification, read_specification


def prepare(
    spec: trainer_pb2.TrainingSpec,
    dataset_version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    prefix: str,
    parent: model_pb2.ModelVersion | None = None,
    teacher: model_pb2.ModelVersion | None = None,
) -> Job:
    """Fits the preprocessing and stores the job file.

    Args:
        spec: The run's resolved specification.
        dataset_version: The version it names, with its shards.
        store: Where the shards are and where the job file goes.
        prefix: Prefix of all keys of the attempt, `runs/trainingRuns/<id>/attempts/<n>/`.
        parent: The parent model version that the specification names.
        teacher: The teacher that it names.

    Returns:
        The job; its `key` is where it was written.

    Raises:
        InvalidInputError: The data do not fit the specification after all.
        DataLossError: A shard, the parent's preprocessing or a scan's scores do not match their
            digest.
    """
    specification = read_specification(spec)
    # Weights, and what a teacher says, go with inputs and outputs as they were scaled for them.
    known = parent or teacher
    if specification.outliers is None:
        outliers = None
        preprocessing = _preprocessing(specification, dataset_version, store, known)
    else:
        outliers = prepare_outliers(specification, dataset_version, store, prefix, known)
        preprocessing = outliers.fits.every
    job = Job(
        training_run=prefix.removeprefix("runs/").partition("/attempts/")[0],
        prefix=prefix,
        specification=specification,
        dataset_version=json_format.MessageToDict(dataset_version),
        preprocessing=preprocessing,
        parent=None if parent is None else json_format.MessageToDict(parent),
        teacher=None if teacher is None else json_format.MessageToDict(teacher),
        outliers=outliers,
    )
    write_job(job, store)
    return job


def _preprocessing(
    specification: TrainingSpecification,
    dataset_version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    known: model_pb2.ModelVersion | None,
) -> Preprocessing:
    if known is not None:
        return read_preprocessing(known, store)
    if specification.forecast is not None:
        return _forecast_preprocessing(specification, dataset_version, store)
    batches = stream_columns(dataset_version, store, columns_needed(specification))
    return fit_preprocessing(specification, schema_from_proto(dataset_version.schema), batches)


def _forecast_preprocessing(
    specification: TrainingSpecification,
    dataset_version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
) -> Preprocessing:
    forecast = specification.forecast
    assert forecast is not None
    fitted: dict[str, NumericColumn] = {}
    if forecast.covariates:
        needed = [forecast.time_column, *forecast.series_columns, *forecast.covariates]
        batches = stream_columns(dataset_version, store, needed)
        fitted = fit_covariates(forecast, schema_from_proto(dataset_version.schema), batches)
    return forecast_preprocessing(specification.target, forecast, fitted)
