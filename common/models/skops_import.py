"""`skops.io`, imported without torch.

It looks through all packages of scikit-learn for estimators, among them an adapter that imports
torch where that is installed: seconds and hundreds of megabytes that no estimator needs.
"""

import sys

_ADAPTER = "sklearn.externals.array_api_compat.torch"

_is_hidden = _ADAPTER not in sys.modules
if _is_hidden:
    sys.modules[_ADAPTER] = None  # type: ignore[assignment]  # then its import fails
try:
    from skops import io as skops_io
finally:
    if _is_hidden:
        del sys.modules[_ADAPTER]

__all__ = ["skops_io"]
