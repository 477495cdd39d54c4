"""What a scan is told: ranges and defaults of `OutlierScanSpec`, and what the data leaves open."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from common.data.schema import LABEL_TYPES, Column, ColumnType, Schema, require_column
from common.errors import InvalidFieldError
from common.names import DatasetVersionName, ModelName, validate_id
from services.outlier.domain.detector import Detector
from services.outlier.domain.detectors.registry import DETECTORS
from services.outlier.domain.preparation import PreparationOptions
from services.outlier.domain.preparation.fitting import Scaling
from services.outlier.domain.scan import Marking, ScanOptions

FIELD = "outlier_scan.spec"
MOST_DETECTORS = 64

_ANOMALY_LABELS = ("1", "true", "yes", "anomaly", "outlier")
_KNOWN_TYPES = LABEL_TYPES | {ColumnType.NUMERIC}
_MOST_ID = 63
_SUFFIX = "-outliers"


class _Specification(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OneDetector(_Specification):
    """One of the detectors, by name."""

    @property
    def chosen(self) -> tuple[str, Detector]:
        """Name and parameters of the detector."""
        name = next(iter(self.model_fields_set))
        return name, getattr(self, name)

    @model_validator(mode="after")
    def _one(self) -> "_OneDetector":
        if len(self.model_fields_set) != 1:
            raise ValueError("must name one detector; ListDetectors knows them")
        return self


_fields: dict[str, Any] = {name: (kind | None, None) for name, kind in DETECTORS.items()}
DetectorChoice = create_model("DetectorChoice", __base__=_OneDetector, **_fields)
"""Has a field for each detector, as `DetectorSpec` has."""


class KnownLabels(_Specification):
    """A column that says of rows whether they are anomalies."""

    column: str = Field(min_length=1)
    anomalies: tuple[str, ...] = ()


class ScanSpecification(_Specification):
    """What to scan, and how; fields are named as in `OutlierScanSpec`."""

    dataset_version: str = Field(min_length=1)
    columns: tuple[str, ...] = ()
    detectors: tuple[DetectorChoice, ...] = Field((), max_length=MOST_DETECTORS)
    scaling: Scaling = Scaling.AUTO
    contamination: float | None = Field(None, gt=0, le=0.5)
    false_discovery_rate: float | None = Field(None, gt=0, lt=1)
    known_labels: KnownLabels | None = None
    use_feedback: bool = True
    seed: int = Field(0, ge=0, lt=2**53)
    budget: float = Field(600.0, ge=1, le=86_400, allow_inf_nan=False)
    keep_detector: bool = True
    model: str = ""
    explained_rows: int = Field(100, ge=0, le=1000)

    @property
    def options(self) -> ScanOptions:
        """What the scan is asked for."""
        return ScanOptions(
            detectors=self._named_detectors() or None,
            preparation=PreparationOptions(scaling=self.scaling),
            marking=Marking(
                contamination=self.contamination, false_discovery_rate=self.false_discovery_rate
            ),
            seed=self.seed,
            seconds=self.budget,
        )

    def _named_detectors(self) -> dict[str, Detector]:
        """Returns detectors by names that are unique: `knn`, `knn_2`."""
        named: dict[str, Detector] = {}
        counts: dict[str, int] = {}
        for each in self.detectors:
            name, detector = each.chosen
            counts[name] = counts.get(name, 0) + 1
            named[name if counts[name] == 1 else f"{name}_{counts[name]}"] = detector
        return named


@dataclass(frozen=True)
class ScannedData:
    """What is known about a data set version.

    Attributes:
        name: Resource name with the version's number.
        schema: Its columns and targets.
        row_count: Number of rows.
    """

    name: str
    schema: Schema
    row_count: int


def resolve_against_data(specification: ScanSpecification, data: ScannedData) -> ScanSpecification:
    """Fills in every default that depends on the data and checks that all fits together.

    Returns:
        The specification with nothing left open. Resolving it again changes nothing.

    Raises:
        InvalidFieldError: Names the field and the cure.
    """
    if data.row_count < 2:
        raise _refused(
            "dataset_version",
            f"{data.name} has {data.row_count} rows; what is odd among them shows from two on.",
        )
    known = specification.known_labels
    if known is not None:
        known = _resolved_labels(known, data.schema)
    columns = _resolved_columns(specification.columns, known, data.schema)
    changes = {
        "dataset_version": data.name,
        "columns": columns,
        "known_labels": known,
        "model": _resolved_model(specification, data.name),
    }
    return specification.model_copy(update=changes)


def is_anomaly(label: str, known: KnownLabels) -> bool:
    """Whether a label of a categorical column stands for an anomaly."""
    if known.anomalies:
        return label in known.anomalies
    return label.lower() in _ANOMALY_LABELS


def _resolved_columns(
    names: tuple[str, ...], known: KnownLabels | None, schema: Schema
) -> tuple[str, ...]:
    left_out = {known.column} if known else set()
    if not names:
        left_out |= set(schema.targets)
        found = tuple(each.name for each in schema.columns if each.name not in left_out)
        if not found:
            raise _refused("columns", "The data set has targets only; name the columns to look at.")
        return found
    for index, name in enumerate(names):
        _column(schema, name, f"columns[{index}]")
        if name in names[:index]:
            raise _refused(f"columns[{index}]", f"names `{name}` twice; name each column once.")
        if name in left_out:
            raise _refused(
                f"columns[{index}]",
                f"`{name}` holds the known labels, which explain nothing; leave it out.",
            )
    return names


def _resolved_labels(known: KnownLabels, schema: Schema) -> KnownLabels:
    column = _column(schema, known.column, "known_labels.column")
    if column.type not in _KNOWN_TYPES:
        raise _refused(
            "known_labels.column",
            f"`{column.name}` is {column.type}; labels are boolean, categorical or numeric.",
        )
    if column.type is not ColumnType.CATEGORICAL:
        if known.anomalies:
            raise _refused(
                "known_labels.anomalies",
                f"`{column.name}` is {column.type}: all but 0 are anomalies; leave this empty.",
            )
        return known
    found = tuple(label for label in column.categories if is_anomaly(label, known))
    if not found:
        wanted = ", ".join(known.anomalies or _ANOMALY_LABELS)
        has = ", ".join(column.categories[:20])
        raise _refused(
            "known_labels.anomalies",
            f"None of {wanted} is a label of `{column.name}`, which has {has}; name its anomalies.",
        )
    return known.model_copy(update={"anomalies": found})


def _resolved_model(specification: ScanSpecification, dataset_version: str) -> str:
    if not specification.keep_detector:
        if specification.model:
            raise _refused("model", "keep_detector is false, so that no model is made; unset one.")
        return ""
    if specification.model:
        return ModelName.from_name(specification.model, f"{FIELD}.model").name
    dataset = DatasetVersionName.from_name(dataset_version).id
    if len(dataset) + len(_SUFFIX) > _MOST_ID:
        raise _refused("model", f"`{dataset}{_SUFFIX}` is too long for a name; give one.")
    return ModelName(validate_id(f"{dataset}{_SUFFIX}", "model")).name


def _column(schema: Schema, name: str, field: str) -> Column:
    return require_column(schema, name, f"{FIELD}.{field}")


def _refused(name: str, description: str, reason: str = "") -> InvalidFieldError:
    return InvalidFieldError(f"{FIELD}.{name}", description, reason=reason)
