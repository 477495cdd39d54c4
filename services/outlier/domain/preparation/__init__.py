"""Raw columns as rows that detectors take: fitted once, kept with the detector."""

from services.outlier.domain.preparation.fitting import PreparationOptions, Scaling, prepare
from services.outlier.domain.preparation.preparation import Preparation

__all__ = ["Preparation", "PreparationOptions", "Scaling", "prepare"]
