"""Made-up payments with anomalies that are known, and tables of rows for messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.type.v1 import table_pb2

NUMBERS = ("amount", "hour", "distance", "age")
COLUMNS = (*NUMBERS, "kind")
ODD_ROWS = 20
QUICK = [
    detector_pb2.DetectorSpec(isolation_forest=detector_pb2.IsolationForest()),
    detector_pb2.DetectorSpec(ecod=detector_pb2.Ecod()),
]
"""Detectors that take no time."""


@dataclass(frozen=True)
class Payments:
    """Rows of which the first `ODD_ROWS` are odd in `distance` and `age`.

    Attributes:
        numbers: Shape (rows, 4).
        kinds: A label of each row.
    """

    numbers: npt.NDArray[np.float64]
    kinds: Sequence[str]

    @property
    def csv(self) -> bytes:
        """The rows with a column `fraud` that says which are odd."""
        lines = [",".join([*COLUMNS, "fraud"])]
        for number, (row, kind) in enumerate(zip(self.numbers, self.kinds, strict=True)):
            numbers = [f"{value:.6f}" for value in row]
            lines.append(",".join([*numbers, kind, "yes" if number < ODD_ROWS else "no"]))
        return "\n".join(lines).encode()


def make_payments(rows: int, seed: int = 0) -> Payments:
    """Returns payments."""
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(rows, len(NUMBERS)))
    numbers[:, 1] += numbers[:, 0]
    numbers[:ODD_ROWS, 2:] += generator.choice([-9.0, 9.0], (ODD_ROWS, 2))
    kinds = generator.choice(["card", "cash", "wire"], rows, p=[0.6, 0.3, 0.1]).tolist()
    return Payments(numbers.round(6), kinds)  # as the file has them


def table_of(
    columns: Mapping[str, Sequence[float] | Sequence[str] | npt.NDArray[np.float64]],
) -> table_pb2.Table:
    """Returns a table of numbers and texts for a message."""
    table = table_pb2.Table()
    for name, values in columns.items():
        if len(values) and isinstance(values[0], str):
            table.columns.add(name=name).strings.values.extend(values)  # type: ignore[arg-type]
        else:
            table.columns.add(name=name).doubles.values.extend(values)  # type: ignore[arg-type]
    return table


def rows_of(payments: Payments, part: slice) -> table_pb2.Table:
    """Returns some payments for a message."""
    columns = {name: payments.numbers[part, place] for place, name in enumerate(NUMBERS)}
    return table_of({**columns, "kind": list(payments.kinds[part])})


def numbers_of(payments: Payments, part: slice) -> outlier_pb2.ScoreStreamRequest:
    """Returns the numbers of some payments as a message of a stream."""
    columns = {name: payments.numbers[part, place] for place, name in enumerate(NUMBERS)}
    return outlier_pb2.ScoreStreamRequest(rows=table_of(columns))
