"""A step of the story, and how it went."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from common.cli.connection import Clients
from common.cli.documents import RunRequest
from common.cli.progress import RunProgress
from common.cli.run_kinds import Run


@dataclass(frozen=True)
class Step:
    """One step: one request.

    Attributes:
        label: Of its document.
        title: What is done, in a few words.
        purpose: What is done, and what to look at.
        say: What came of it, one sentence each, of how it ended.
        ask: What else its service has to say of it.
        is_disturbed: Whether the demonstration kills a worker of it.
    """

    label: str
    title: str
    purpose: str
    say: Callable[["Chapter"], Iterable[str]]
    ask: Callable[[Clients, Run], Sequence[Message]] = lambda clients, run: ()
    is_disturbed: bool = False


@dataclass(frozen=True)
class Chapter:
    """How a step went.

    Attributes:
        step: The step.
        request: What was asked for.
        run: The run that it made, as it ended.
        progress: The picture that the run's events gave.
        answers: What `Step.ask` asked for.
        seconds: From the request to the end.
    """

    step: Step
    request: RunRequest
    run: Run
    progress: RunProgress = field(repr=False)
    answers: Sequence[Message] = field(repr=False)
    seconds: float

    @property
    def sentences(self) -> list[str]:
        """What came of it."""
        return list(self.step.say(self))
