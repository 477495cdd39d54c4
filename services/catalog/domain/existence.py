"""What a request names must exist."""

from google.protobuf.empty_pb2 import Empty

from common.errors import FieldViolation, NotFoundError
from common.records import RecordStore


def require_resource(records: RecordStore, name: str, field: str) -> str:
    """Returns the name of a stored resource of whatever kind.

    Args:
        records: The suite's resources.
        name: Resource name.
        field: Path of the field it came from, for the error.

    Raises:
        NotFoundError: There is none; names the field.
    """
    try:
        records.get(name, Empty)
    except NotFoundError:
        raise NotFoundError(
            f"{field}: {name} does not exist.",
            violations=[FieldViolation(field, "does not exist.")],
        ) from None
    return name
