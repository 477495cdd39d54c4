"""What is wrong with a file that is to be a model."""

from common.errors import InvalidFieldError


def bad_model(field: str, description: str) -> InvalidFieldError:
    """Returns the error for a file that is no model, or none that can be used.

    Args:
        field: Path of the field that names the file.
        description: What is wrong with it.
    """
    return InvalidFieldError(field, description, reason="BAD_MODEL")
