"""What a run is to do with an outlier scan, against the scan and the data.

Needs neither scores nor data: it runs before a run is created.
"""

from common.data.scans import Scan, check_scan
from common.data.schema import KnownDataset
from common.errors import InvalidFieldError
from services.trainer.domain.specification import (
    FIELD,
    OutlierProof,
    TrainingSpecification,
    refused,
)

DEFAULT_USE = "down_weight"
LEAST_FOLD_ROWS = 10
MOST_DEFAULT_EPOCHS = 50


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
    check_scan(scan, data.name, f"{FIELD}.outliers.scan")
    changes: dict[str, object] = {"scan": scan.name, "scores": scan.scores}
    if outliers.prove is None:
        changes["use"] = outliers.use or DEFAULT_USE
    else:
        changes["prove"] = _proof(outliers.prove, specification, data)
    resolved = outliers.model_copy(update=changes)
    return specification.model_copy(update={"outliers": resolved})


def too_few_rows(why: str) -> InvalidFieldError:
    """Returns the error for more folds than there are rows for."""
    cure = "take fewer folds, or set `use` instead of `prove`"
    return _refused("prove.folds", f"{why}; {cure}.", "TOO_FEW_ROWS")


def _refused(name: str, description: str, reason: str = "") -> InvalidFieldError:
    return refused(f"outliers.{name}", description, reason)


def _proof(
    proof: OutlierProof, specification: TrainingSpecification, data: KnownDataset
) -> OutlierProof:
    known = {"parent_model_version": specification.parent_model_version}
    if specification.distillation is not None:
        known["distillation"] = specification.distillation.teacher_model_version
    for field, version in known.items():
        if version:
            raise _refused(
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
        raise _refused(
            "prove.epochs",
            f"{epochs} epochs are more than the {specification.epochs} of the run; take fewer.",
        )
    warmup = specification.schedule.warmup
    if warmup is not None and warmup.epochs > epochs:
        raise _refused(
            "prove.epochs",
            f"The warm-up of {warmup.epochs:g} epochs is longer than the {epochs} of a compared "
            "model; shorten it or raise `prove.epochs`.",
        )
    return proof.model_copy(update={"epochs": epochs})
