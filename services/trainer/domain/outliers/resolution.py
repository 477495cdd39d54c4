"""What a run is to do with an outlier scan, against the scan and the data.

Needs neither scores nor data: it runs before a run is created.
"""

from dataclasses import dataclass

from common.artifacts.reference import ArtifactReference
from common.data.schema import KnownDataset
from common.errors import InvalidFieldError
from services.trainer.domain.specification import (
    FIELD,
    OutlierProof,
    OutlierTreatment,
    TrainingSpecification,
)

DEFAULT_USE = "down_weight"
LEAST_FOLD_ROWS = 10
MOST_DEFAULT_EPOCHS = 50
_SUCCEEDED = "succeeded"
_UNDER_WAY = frozenset({"pending", "running"})


@dataclass(frozen=True)
class Scan:
    """An outlier scan.

    Attributes:
        name: Its resource name.
        dataset_version: The data set version that it scanned, by number.
        state: Its state, in lower case.
        scores: Its scores; None where it has none.
    """

    name: str
    dataset_version: str
    state: str
    scores: ArtifactReference | None


def resolve_outliers(
    specification: TrainingSpecification, data: KnownDataset, scan: Scan | None
) -> TrainingSpecification:
    """Fills in what is left open about outliers, and checks that scan and data fit.

    Args:
        specification: Resolved against the data.
        data: The data set version.
        scan: The scan that the specification names; None where it names none.

    Returns:
        The specification with nothing left open. Resolving it again changes nothing.

    Raises:
        InvalidFieldError: Names the field and the cure.
    """
    outliers = specification.outliers
    if outliers is None or scan is None:
        return specification
    _check_scan(scan, data)
    changes: dict[str, object] = {"scan": scan.name, "scores": scan.scores}
    if outliers.prove is None:
        changes["use"] = outliers.use or DEFAULT_USE
    else:
        changes["prove"] = _proof(outliers.prove, specification, data)
    resolved = outliers.model_copy(update=changes)
    return specification.model_copy(update={"outliers": resolved})


def unknown_scan(outliers: OutlierTreatment) -> InvalidFieldError:
    """Returns the error for a scan that does not exist."""
    return _error(
        "scan",
        f"{outliers.scan} does not exist; list the scans with `aimass runs list`, or start one.",
        "NO_SUCH_SCAN",
    )


def too_few_rows(why: str) -> InvalidFieldError:
    """Returns the error for more folds than there are rows for."""
    cure = "take fewer folds, or set `use` instead of `prove`"
    return _error("prove.folds", f"{why}; {cure}.", "TOO_FEW_ROWS")


def _error(name: str, description: str, reason: str = "") -> InvalidFieldError:
    return InvalidFieldError(f"{FIELD}.outliers.{name}", description, reason=reason)


def _check_scan(scan: Scan, data: KnownDataset) -> None:
    if scan.state in _UNDER_WAY:
        raise _error(
            "scan", f"{scan.name} is {scan.state.upper()}; wait for its end.", "SCAN_NOT_ENDED"
        )
    if scan.state != _SUCCEEDED or scan.scores is None:
        raise _error(
            "scan",
            f"{scan.name} is {scan.state.upper()} and has no scores; take one that SUCCEEDED.",
            "SCAN_WITHOUT_SCORES",
        )
    if scan.dataset_version != data.name:
        raise _error(
            "scan",
            f"{scan.name} is of {scan.dataset_version} and this run trains on {data.name}; take a "
            "scan of that version, or train on the version that was scanned.",
            "SCAN_OF_OTHER_DATA",
        )


def _proof(
    proof: OutlierProof, specification: TrainingSpecification, data: KnownDataset
) -> OutlierProof:
    known = {"parent_model_version": specification.parent_model_version}
    if specification.distillation is not None:
        known["distillation"] = specification.distillation.teacher_model_version
    for field, version in known.items():
        if version:
            raise _error(
                "prove",
                f"{version} may have learned from the rows that are held out; leave `{field}` or "
                "`prove` out.",
            )
    if data.counts.train < LEAST_FOLD_ROWS * proof.folds:
        raise too_few_rows(
            f"{proof.folds} folds need at least {LEAST_FOLD_ROWS * proof.folds} training rows, and "
            f"there are {data.counts.train}"
        )
    epochs = proof.epochs or min(specification.epochs, MOST_DEFAULT_EPOCHS)
    if epochs > specification.epochs:
        raise _error(
            "prove.epochs",
            f"{epochs} epochs are more than the {specification.epochs} of the run; take fewer.",
        )
    warmup = specification.schedule.warmup
    if warmup is not None and warmup.epochs > epochs:
        raise _error(
            "prove.epochs",
            f"The warm-up of {warmup.epochs:g} epochs is longer than the {epochs} of a compared "
            "model; shorten it or raise `prove.epochs`.",
        )
    return proof.model_copy(update={"epochs": epochs})
