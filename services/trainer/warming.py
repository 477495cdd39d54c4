"""Pays beforehand what the first use of slow libraries costs."""

import pyarrow as pa

import common.artifacts.s3  # noqa: F401 - opening a store imports it, which takes 0.2 s


def warm_up_libraries() -> None:
    """Makes the store's client and pyarrow quick to use. Call it in a process that stands by."""
    # The first array looks for pandas and imports it where it is installed: 0.3 s.
    pa.array([0.0])
