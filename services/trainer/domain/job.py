"""The job file: all that a worker must know of its run, written once per attempt."""

from google.protobuf import json_format
from pydantic import JsonValue

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts.protocol import ObjectStore
from common.models.preprocessing import Preprocessing
from common.networks.specification import Specification
from common.scoring.outlier_uses import Use
from services.trainer.domain.specification import TrainingSpecification

FILE_NAME = "job.json"


class Fits(Specification):
    """Preprocessing of the same rows, with and without those that are marked.

    Attributes:
        every: Fitted on every row.
        unmarked: Fitted on the rows that are not marked; None where it is not needed.
    """

    every: Preprocessing
    unmarked: Preprocessing | None = None

    def of(self, use: Use) -> Preprocessing:
        """Returns the preprocessing for a use of the marks."""
        return self.unmarked if use == "drop" and self.unmarked is not None else self.every


class JobOutliers(Specification):
    """What workers must know of an outlier scan.

    Attributes:
        marks_key: Key of the marks of all rows, see `Marks.to_bytes`.
        fits: Preprocessing of the training rows.
        folds: Preprocessing of the training rows without each fold; empty where nothing is to be
            proved.
    """

    marks_key: str
    fits: Fits
    folds: tuple[Fits, ...] = ()


class Job(Specification):
    """A run as its workers see it.

    Attributes:
        training_run: Resource name of the run.
        prefix: Prefix of all keys that this attempt writes, `runs/<run>/attempts/<n>/`.
        specification: Resolved specification.
        dataset_version: JSON form of the `DatasetVersion`, shards included.
        preprocessing: What turns columns into inputs, fitted on every training row.
        parent: JSON form of the parent `ModelVersion`; None for none.
        teacher: JSON form of the teacher's `ModelVersion`; None for none.
        outliers: Marks of an outlier scan; None for none.
    """

    training_run: str
    prefix: str
    specification: TrainingSpecification
    dataset_version: dict[str, JsonValue]
    preprocessing: Preprocessing
    parent: dict[str, JsonValue] | None = None
    teacher: dict[str, JsonValue] | None = None
    outliers: JobOutliers | None = None

    @property
    def key(self) -> str:
        """Key of the job file in the object store."""
        return self.prefix + FILE_NAME

    @property
    def data(self) -> dataset_pb2.DatasetVersion:
        """The data set version."""
        return json_format.ParseDict(self.dataset_version, dataset_pb2.DatasetVersion())

    @property
    def parent_model(self) -> model_pb2.ModelVersion | None:
        """The model version whose weights to start from."""
        return _model_version(self.parent)

    @property
    def teacher_model(self) -> model_pb2.ModelVersion | None:
        """The model version to learn from."""
        return _model_version(self.teacher)


def write_job(job: Job, store: ObjectStore) -> None:
    """Stores the job file."""
    store.write(job.key, job.model_dump_json(exclude_none=True).encode())


def read_job(key: str, store: ObjectStore) -> Job:
    """Reads a job file. Raises `ObjectMissingError`."""
    data, _ = store.read(key)
    return Job.model_validate_json(data)


def _model_version(plain: dict[str, JsonValue] | None) -> model_pb2.ModelVersion | None:
    return None if plain is None else json_format.ParseDict(plain, model_pb2.ModelVersion())
