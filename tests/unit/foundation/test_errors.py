"""Errors on their way to callers and between processes."""

from common.errors import AimassError, FieldViolation, InvalidFieldError, from_status, to_status


def test_error_from_another_process_says_all_that_it_said_there() -> None:
    """A helper process's refusal must reach the caller with field, reason and command."""
    error = AimassError(
        "x: is wrong",
        reason="BAD_X",
        violations=[FieldViolation("x", "is wrong")],
        help_command="aimass datasets show x",
    )
    status = to_status(error)
    assert to_status(from_status(status)) == status
    assert to_status(from_status(to_status(InvalidFieldError("y", "z")))).code == 3
