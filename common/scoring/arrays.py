"""What metrics look at."""

import numpy as np
import numpy.typing as npt

Truth = npt.NDArray[np.generic]
"""Positions of classes, int64 [rows]; of many labels int8 [rows, labels]; of a regression float64
values [rows]."""

Outputs = npt.NDArray[np.float64]
"""Of classes and labels probabilities, [rows, outputs]; of a regression values, [rows, 1]."""

Positions = npt.NDArray[np.int64]
"""Of rows."""
