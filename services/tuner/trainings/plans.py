"""Which networks are trained, and how: by what the data are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import network_pb2
from common.data.schema import Column, ColumnType
from services.tuner.domain.names import DEEP_IMAGE, DEEP_TABLE, DEEP_TEXT
from services.tuner.domain.resolution.networks import TABLE_TYPES
from services.tuner.domain.space.configuration import Configuration

_FEW_ROWS, _SMALL_BATCH, _BATCH, _LARGE_BATCH, _MANY_ROWS = 4_000, 64, 128, 512, 50_000
_LARGE_SIDE = 24
_MOST_EPOCHS = 300
_TEXT_EPOCHS, _MOST_TEXT_EPOCHS, _TEXT_STEPS = 8, 40, 160
"""Texts are learned by heart soon: few epochs, more where these are fewer steps."""

_TEXT_TYPES = TABLE_TYPES | {ColumnType.TEXT}
_FEW_CHANNELS, _MANY_CHANNELS = (32, 64), (32, 64, 128)


@dataclass(frozen=True)
class NetworkPlan:
    """A network to train.

    Attributes:
        family: `deep_image`, `deep_table` or `deep_text`.
        settings: What people see of it.
        network: What the trainer builds.
        features: Names of the columns that it takes.
        learning_rate: At first; it falls to 0 as a cosine.
        batch_size: Rows of a step.
        epochs: Most passes over the rows.
        is_augmented: Whether rows are changed at random as they are drawn, by their type.
        chooses_epoch: Whether the epoch is kept that is best on validation rows, or the last one.
    """

    family: str
    settings: Configuration
    network: network_pb2.NetworkSpec
    features: tuple[str, ...]
    learning_rate: float
    batch_size: int
    epochs: int = _MOST_EPOCHS
    is_augmented: bool = False
    chooses_epoch: bool = True

    def spec(self, seconds: float) -> trainer_pb2.TrainingSpec:
        """Returns what the trainer is asked for, without data and model.

        Args:
            seconds: That training may take.
        """
        spec = trainer_pb2.TrainingSpec(
            features=self.features,
            network=self.network,
            optimizer=trainer_pb2.OptimizerSpec(
                kind=trainer_pb2.OPTIMIZER_KIND_ADAMW,
                learning_rate=self.learning_rate,
            ),
            schedule=trainer_pb2.ScheduleSpec(cosine_decay=True),
            epochs=self.epochs,
            batch_size=self.batch_size,
        )
        if self.is_augmented:
            spec.augmentation.auto = True
        if not self.chooses_epoch:
            spec.monitor = trainer_pb2.MONITORED_METRIC_NONE
        spec.max_duration.FromMilliseconds(round(1000 * max(seconds, 1.0)))
        return spec


def plans_for(family: str, columns: Sequence[Column], rows: int) -> list[NetworkPlan]:
    """Returns what a family trains, first what is good in a short time.

    Args:
        family: `deep_image`, `deep_table` or `deep_text`.
        columns: That may be learned from.
        rows: How many are learned from.
    """
    batch = _SMALL_BATCH if rows < _FEW_ROWS else _BATCH if rows < _MANY_ROWS else _LARGE_BATCH
    if family == DEEP_IMAGE:
        [picture] = [each for each in columns if each.type is ColumnType.IMAGE]
        small = _convolutions(picture, _FEW_CHANNELS, batch)
        is_large = min(picture.shape[1:]) >= _LARGE_SIDE
        large = [_convolutions(picture, _MANY_CHANNELS, batch)] if is_large else []
        return [small, *large, _augmented(small), _residual(picture, batch)]
    if family == DEEP_TEXT:
        epochs = -(-_TEXT_STEPS * batch // max(rows, 1))
        epochs = min(max(epochs, _TEXT_EPOCHS), _MOST_TEXT_EPOCHS)
        return [_bag(columns, batch, epochs), _encoder(columns, batch, epochs)]
    return [_perceptron(columns, batch), _residual_perceptron(columns, batch)]


def _augmented(plan: NetworkPlan) -> NetworkPlan:
    """Returns a plan whose rows are changed at random. Pictures need many epochs then."""
    return replace(plan, settings={**plan.settings, "augmentation": "auto"}, is_augmented=True)


def _convolutions(picture: Column, channels: tuple[int, ...], batch: int) -> NetworkPlan:
    cnn = network_pb2.CnnNetwork(
        blocks=[network_pb2.ConvBlock(channels=each) for each in channels],
        head_widths=[128],
        dropout=0.4,
    )
    return NetworkPlan(
        DEEP_IMAGE,
        {"network": "cnn", "channels": ", ".join(map(str, channels)), "dropout": 0.4},
        network_pb2.NetworkSpec(cnn=cnn),
        (picture.name,),
        1e-3,
        batch,
    )


def _residual(picture: Column, batch: int) -> NetworkPlan:
    stages = [network_pb2.ResNetStage(blocks=1, channels=each) for each in (32, 64, 128)]
    resnet = network_pb2.ResNetNetwork(stages=stages, dropout=0.3)
    return NetworkPlan(
        DEEP_IMAGE,
        {"network": "resnet", "channels": "32, 64, 128", "dropout": 0.3},
        network_pb2.NetworkSpec(resnet=resnet),
        (picture.name,),
        2e-3,
        batch,
    )


def _perceptron(columns: Sequence[Column], batch: int) -> NetworkPlan:
    mlp = network_pb2.MlpNetwork(hidden_widths=[256, 128], dropout=0.1, batch_norm=True)
    return NetworkPlan(
        DEEP_TABLE,
        {"network": "mlp", "widths": "256, 128", "dropout": 0.1},
        network_pb2.NetworkSpec(mlp=mlp),
        _table_names(columns),
        2e-3,
        batch,
    )


def _residual_perceptron(columns: Sequence[Column], batch: int) -> NetworkPlan:
    return NetworkPlan(
        DEEP_TABLE,
        {"network": "residual_mlp"},
        network_pb2.NetworkSpec(residual_mlp=network_pb2.ResidualMlpNetwork()),
        _table_names(columns),
        2e-3,
        batch,
    )


def _table_names(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(each.name for each in columns if each.type in TABLE_TYPES)


def _bag(columns: Sequence[Column], batch: int, epochs: int) -> NetworkPlan:
    return _of_texts(
        columns,
        {"network": "embedding_bag"},
        network_pb2.NetworkSpec(embedding_bag=network_pb2.EmbeddingBagNetwork()),
        1e-2,
        batch,
        epochs,
    )


def _encoder(columns: Sequence[Column], batch: int, epochs: int) -> NetworkPlan:
    return _of_texts(
        columns,
        {"network": "text_transformer"},
        network_pb2.NetworkSpec(text_transformer=network_pb2.TextTransformerNetwork()),
        2e-3,
        batch,
        2 * epochs,
    )


def _of_texts(
    columns: Sequence[Column],
    settings: Configuration,
    network: network_pb2.NetworkSpec,
    learning_rate: float,
    batch: int,
    epochs: int,
) -> NetworkPlan:
    names = tuple(each.name for each in columns if each.type in _TEXT_TYPES)
    plan = NetworkPlan(
        DEEP_TEXT,
        settings,
        network,
        names,
        learning_rate,
        batch,
        epochs,
        # The rate falls to 0 in a few epochs: the last is as good, and validation rows stay honest.
        chooses_epoch=False,
    )
    return _augmented(plan)
