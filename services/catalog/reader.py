"""Reads rows for previews, in a process of its own: `python -m services.catalog.reader`.

The service itself carries neither pyarrow nor numpy.
"""

from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.host import helper
from services.catalog.domain.preview import RowRange
from services.catalog.domain.rows import ShardFiles, read_rows


def main() -> None:
    """Answers until the service ends."""
    files = ShardFiles(open_store(StoreSettings()))
    helper.serve(lambda question: _answer(files, question))


def _answer(files: ShardFiles, question: bytes) -> bytes:
    return read_rows(files, RowRange.unpack(question)).SerializeToString()


if __name__ == "__main__":
    main()
