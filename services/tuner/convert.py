"""Between messages and the domain."""

from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.protobuf import enum_number, enum_short_name, from_plain, resolve
from common.scoring.kinds import ProblemKind
from common.scoring.outlier_uses import BASELINE, USES, Use
from services.tuner.domain.estimate import Estimate
from services.tuner.domain.names import FAMILY_KINDS, TRAINED_KINDS
from services.tuner.domain.portfolio.known_set import KnownScore, KnownSet
from services.tuner.domain.space.configuration import Configuration, Setting
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
            for name, kinds in {**FAMILY_KINDS, **TRAINED_KINDS}.items()
        ]
    )


def kind_to_proto(kind: ProblemKind) -> tuner_pb2.ProblemKind.ValueType:
    """Returns the number of a kind of problem."""
    return tuner_pb2.ProblemKind.ValueType(enum_number(_KIND, kind))


def use_to_proto(use: Use) -> trainer_pb2.OutlierUse.ValueType:
    """Returns the number of a use of an outlier scan's marks."""
    return trainer_pb2.OutlierUse.ValueType(enum_number(trainer_pb2.OutlierUse.DESCRIPTOR, use))


def use_from_proto(use: trainer_pb2.OutlierUse.ValueType) -> Use:
    """Returns the use of an outlier scan's marks that a training run names, or names none."""
    short = enum_short_name(trainer_pb2.OutlierUse.DESCRIPTOR, use)
    return next((each for each in USES if each == short), BASELINE)


def settings_to_proto(settings: Configuration) -> dict[str, tuner_pb2.Setting]:
    """Returns the messages of settings by name."""
    return {name: _setting(value) for name, value in settings.items()}


def known_set_to_proto(known: KnownSet) -> tuner_pb2.PortfolioEntry:
    """Returns the message of what is known of a set of data, the best candidates first."""
    return tuner_pb2.PortfolioEntry(
        source=known.source,
        kind=kind_to_proto(known.kind),
        metric=known.metric,
        meta_features=known.features,
        scores=[_score(each) for each in sorted(known.scores, key=lambda each: each.regret)],
    )


def _score(known: KnownScore) -> tuner_pb2.PortfolioScore:
    message = tuner_pb2.PortfolioScore(
        family=known.family, settings=settings_to_proto(known.settings), regret=known.regret
    )
    message.duration.FromNanoseconds(round(known.seconds * 1e9))
    return message


def _setting(value: Setting) -> tuner_pb2.Setting:
    if isinstance(value, bool):
        return tuner_pb2.Setting(flag=value)
    if isinstance(value, int):
        return tuner_pb2.Setting(integer=value)
    if isinstance(value, str):
        return tuner_pb2.Setting(text=value)
    return tuner_pb2.Setting(number=float(value))
