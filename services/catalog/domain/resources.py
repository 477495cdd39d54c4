"""Names of stored resources from the names that callers give."""

from aimass.catalog.v1 import dataset_pb2
from common.errors import FieldViolation, NotFoundError
from common.names import DatasetVersionName, ModelVersionName, validate_name
from services.catalog.domain.models import Models
from services.catalog.domain.versions import Versions

Datasets = Versions[dataset_pb2.Dataset, dataset_pb2.DatasetVersion]


def numbered_name(datasets: Datasets, models: Models, text: str, field: str) -> str:
    """Returns the name under which a resource is stored: versions by their number.

    Args:
        datasets: The suite's data sets.
        models: The suite's models.
        text: A resource name; `latest` and aliases stand for versions.
        field: Path of the field it came from, for the error.

    Raises:
        InvalidFieldError: It is no resource name.
        NotFoundError: `latest` or the alias stands for nothing.
    """
    collection = text.partition("/")[0] if "/versions/" in text else ""
    try:
        if collection == ModelVersionName.collection:
            model = ModelVersionName.from_name(text, field)
            return model.name if model.number else models.get(model).name
        if collection == DatasetVersionName.collection:
            dataset = DatasetVersionName.from_name(text, field)
            return dataset.name if dataset.number else datasets.get(dataset).name
    except NotFoundError as error:
        raise NotFoundError(
            f"{field}: {error.message}", violations=[FieldViolation(field, error.message)]
        ) from None
    return validate_name(text, field)
