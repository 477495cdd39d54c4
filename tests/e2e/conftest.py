"""One suite for all end-to-end tests that leave it as they found it."""

from collections.abc import Iterator

import numpy as np
import pytest

from common.testing.suite import RunningSuite, running_suite


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """Yields a running suite with two agents of one slot each."""
    with running_suite(tmp_path_factory.mktemp("suite")) as running:
        yield running


@pytest.fixture(scope="session")
def table() -> bytes:
    """Returns 2,000 rows of a regression table as a CSV file."""
    generator = np.random.default_rng(7)
    features = generator.uniform(size=(2000, 10))
    target = features[:, 0] + 2 * features[:, 1] - features[:, 2] ** 3
    lines = [",".join([*(f"x{column}" for column in range(10)), "y"])]
    lines += [
        ",".join(f"{value:.9g}" for value in [*row, label])
        for row, label in zip(features, target, strict=True)
    ]
    return "\n".join(lines).encode()


@pytest.fixture(scope="session")
def table_version(suite: RunningSuite, table: bytes) -> str:
    """Imports the regression table. Returns the version's name."""
    return suite.import_dataset("e2e-table", "table.csv", table)
