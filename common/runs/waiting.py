"""What the process of a run waits for, as those who watch the run hear it."""

from collections.abc import Callable

Tell = Callable[[str], None]


def _nobody(sentence: str) -> None:
    pass


_tell: Tell = _nobody


def tell_to(tell: Tell) -> None:
    """Says who hears what this process waits for: one process works on one run.

    Args:
        tell: Takes a sentence; called from any thread.
    """
    global _tell  # noqa: PLW0603  (a call deep in the work does not know the run)
    _tell = tell


def told(sentence: str) -> None:
    """Tells what is waited for, or that it is there again."""
    _tell(sentence)
