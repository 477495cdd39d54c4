"""What opening skops files costs a process."""

import subprocess
import sys


def test_torch_is_not_imported() -> None:
    """Seconds and hundreds of megabytes; both stay importable afterwards."""
    script = (
        "import sys\n"
        "import common.models.skops_model\n"
        "assert 'torch' not in sys.modules\n"
        "import sklearn.externals.array_api_compat.torch\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
