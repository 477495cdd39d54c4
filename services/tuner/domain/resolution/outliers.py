"""The outlier scan whose marks a search tries, against its data."""

from common.data.scans import Scan, check_scan
from services.tuner.domain.resolution.data import TuningData
from services.tuner.domain.specification import FIELD, OutlierMarks, TuningSpecification

SCAN_FIELD = f"{FIELD}.outliers.scan"


def resolved_outliers(
    specification: TuningSpecification, data: TuningData, scan: Scan | None
) -> OutlierMarks | None:
    """Returns the marks with the scores that they are read from; None where none are asked for.

    Args:
        specification: What the caller asked for.
        data: The data set version.
        scan: The scan that it names; None where it names none.

    Raises:
        InvalidFieldError: The scan has no scores, or not those of the data.
    """
    if scan is None:
        return None
    check_scan(scan, data.name, SCAN_FIELD)
    return OutlierMarks(scan=scan.name, scores=scan.scores)
