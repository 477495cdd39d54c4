"""What a kind of run is: its collection, its message, and where its objects lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from google.protobuf.message import Message

from aimass.type.v1 import event_pb2, run_pb2
from common.errors import InvalidFieldError
from common.names import validate_id, wrong_name
from common.wording import quoted, snake_case

M = TypeVar("M", bound=Message)

TERMINAL_STATES = frozenset(
    {run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED}
)

_MAX_LABELS = 64
_MAX_LABEL_LENGTH = 63


class _RunMessage(Protocol):
    """The fields that every run message has."""

    name: str

    @property
    def status(self) -> run_pb2.RunStatus: ...

    @property
    def labels(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class RunKind(Generic[M]):
    """A kind of run.

    Attributes:
        collection: Collection of its resource names, for example `trainingRuns`.
        message: The resource's class; it has `name`, `spec`, `status` and `labels`.
        prefix: Begins the ids that the server makes, for example `train`.
    """

    collection: str
    message: type[M]
    prefix: str = "run"

    @property
    def field(self) -> str:
        """The resource in requests, for example `training_run`."""
        return snake_case(self.message.DESCRIPTOR.name)

    def name_of(self, run_id: str) -> str:
        """Returns the resource name of an id."""
        return f"{self.collection}/{run_id}"

    def check_name(self, name: str, field: str = "name") -> None:
        """Raises `InvalidFieldError` where `name` is not one of this kind."""
        collection, slash, run_id = name.partition("/")
        if collection != self.collection or not slash:
            raise wrong_name(field, f"{self.collection}/{{id}}", name)
        validate_id(run_id, field)


def status_of(run: Message) -> run_pb2.RunStatus:
    """Returns the status of a run; changing it changes the run."""
    return cast(_RunMessage, run).status


def name_of(run: Message) -> str:
    """Returns the resource name of a run."""
    return cast(_RunMessage, run).name


def set_name(run: Message, name: str) -> None:
    """Names a run."""
    cast(_RunMessage, run).name = name


def labels_of(run: Message) -> Mapping[str, str]:
    """Returns the labels of a run."""
    return cast(_RunMessage, run).labels


def check_labels(labels: Mapping[str, str], field: str) -> None:
    """Checks the labels of a resource.

    Args:
        labels: The labels.
        field: Path of the field, for the error.

    Raises:
        InvalidFieldError: There are more than 64, or one is empty or longer than 63 characters.
    """
    if len(labels) > _MAX_LABELS:
        raise InvalidFieldError(field, f"must be at most {_MAX_LABELS} labels, not {len(labels)}")
    for key, value in labels.items():
        if not 0 < len(key) <= _MAX_LABEL_LENGTH or len(value) > _MAX_LABEL_LENGTH:
            raise InvalidFieldError(
                field,
                f"keys must have 1 to {_MAX_LABEL_LENGTH} characters, values at most as many; "
                f"{quoted(key)} with {quoted(value)} has not",
            )


def is_terminal(run: Message) -> bool:
    """Whether the run has ended."""
    return status_of(run).state in TERMINAL_STATES


def terminal_event(run: Message) -> event_pb2.Event:
    """Returns the last event of a run that ended.

    It is derived from the record, so it is stored the moment the end is.
    """
    status = status_of(run)
    change = event_pb2.StateChange(state=status.state)
    if status.HasField("error"):
        change.error.CopyFrom(status.error)
        change.message = status.error.message
    return event_pb2.Event(
        sequence=status.last_sequence,
        time=status.end_time,
        attempt=status.attempt,
        state_change=change,
    )


def run_prefix(name: str) -> str:
    """Returns the prefix of all objects of a run but its record."""
    return f"runs/{name}/"


def lease_key(name: str) -> str:
    """Returns the key of a run's lease."""
    return f"runs/{name}/lease.json"


def attempt_prefix(name: str, attempt: int) -> str:
    """Returns the prefix of what one attempt of a run puts out."""
    return f"runs/{name}/attempts/{attempt}/"
