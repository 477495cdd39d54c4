"""Outlier scans whose marks are used, and whether they fit the data.

Needs neither scores nor data: it runs before a run is created.
"""

from dataclasses import dataclass

from common.artifacts.reference import ArtifactReference
from common.errors import InvalidFieldError

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


def unknown_scan(name: str, field: str) -> InvalidFieldError:
    """Returns the error for a scan that does not exist, named in a field."""
    return InvalidFieldError(
        field,
        f"{name} does not exist; list the scans with `aimass runs list`, or start one.",
        reason="NO_SUCH_SCAN",
    )


def check_scan(scan: Scan, dataset_version: str, field: str) -> None:
    """Checks that a scan has scores, and that they are of the rows that are learned from.

    Args:
        scan: The scan.
        dataset_version: What is learned from.
        field: That names the scan.

    Raises:
        InvalidFieldError: It cannot be used; says why, and the cure.
    """
    if scan.state in _UNDER_WAY:
        raise InvalidFieldError(
            field,
            f"{scan.name} is {scan.state.upper()}; wait for its end.",
            reason="SCAN_NOT_ENDED",
        )
    if scan.state != _SUCCEEDED or scan.scores is None:
        raise InvalidFieldError(
            field,
            f"{scan.name} is {scan.state.upper()} and has no scores; take one that SUCCEEDED.",
            reason="SCAN_WITHOUT_SCORES",
        )
    if scan.dataset_version != dataset_version:
        raise InvalidFieldError(
            field,
            f"{scan.name} is of {scan.dataset_version} and this run trains on {dataset_version}; "
            "take a scan of that version, or train on the version that was scanned.",
            reason="SCAN_OF_OTHER_DATA",
        )
