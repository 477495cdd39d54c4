"""Between messages and the domain."""

from aimass.tuner.v1 import tuner_pb2
from common.protobuf import enum_number, from_plain, resolve
from services.tuner.domain.estimate import Estimate
from services.tuner.domain.kinds import ProblemKind
from services.tuner.domain.names import FAMILY_KINDS
from services.tuner.domain.specification import FIELD, TuningSpecification

_KIND = tuner_pb2.ProblemKind.DESCRIPTOR


def specification_from_proto(message: tuner_pb2.TuningSpec) -> TuningSpecification:
    """Returns what a message asks for, with the defaults that do not depend on the data.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    return resolve(message, TuningSpecification, FIELD)


def specification_to_proto(specification: TuningSpecification) -> tuner_pb2.TuningSpec:
    """Returns the message of a specification."""
    return from_plain(specification.model_dump(mode="json"), tuner_pb2.TuningSpec)


def estimate_to_proto(
    needs: Estimate, specification: TuningSpecification
) -> tuner_pb2.TuningEstimate:
    """Returns the message of what a resolved specification will need."""
    message = tuner_pb2.TuningEstimate(
        memory_bytes=needs.memory_bytes,
        fold_count=needs.fold_count,
        families=specification.families,
    )
    message.duration.FromNanoseconds(round(needs.seconds * 1e9))
    return message


def families_to_proto() -> tuner_pb2.ListFamiliesResponse:
    """Returns the families that there are."""
    return tuner_pb2.ListFamiliesResponse(
        families=[
            tuner_pb2.Family(name=name, kinds=[kind_to_proto(each) for each in sorted(kinds)])
            for name, kinds in FAMILY_KINDS.items()
        ]
    )


def kind_to_proto(kind: ProblemKind) -> tuner_pb2.ProblemKind.ValueType:
    """Returns the number of a kind of problem."""
    return tuner_pb2.ProblemKind.ValueType(enum_number(_KIND, kind))
