"""Networks that become smaller learn on workers: of a trainer that is free, full, slow or away."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import artifact_pb2, run_pb2
from common.artifacts.blobs import put_artifact, read_artifact
from common.artifacts.memory import MemoryStore
from common.models.preprocessing import PREPROCESSING, NumericColumn, Preprocessing, Target
from common.networks.modules import build_network
from common.networks.specification import MlpNetwork, NetworkInput, NetworkSpecification, complete
from common.runs.errors import RunCancelledError
from common.runs.owner import RunOwner
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.tuning import Examples, OwnTutor, Plan, strength_of
from services.pruner.domain.variants import SPECIFICATION, Built
from services.pruner.trainings import tutor as tutor_module
from services.pruner.trainings.orders import Order
from services.pruner.trainings.tutor import School
from tests.support.fake_trainer import FakeTrainer
from tests.support.pruning import create_run, owner_of

NAME = "pruningRuns/p"
ROWS = 1_000
SPECIFICATION_OF = complete(
    NetworkSpecification(mlp=MlpNetwork(hidden_widths=(4,))),
    NetworkInput(numeric_columns=2),
    2,
    "network",
)
PLAN = Plan(epochs=4, seconds=60.0, seed=3)


@dataclass
class Scene:
    """A pruning with its tutor.

    Attributes:
        owner: The pruning.
        trainer: Who trains on workers.
        trained: The weights that trainings give.
        notes: What was noted.
    """

    owner: RunOwner[pruner_pb2.PruningRun]
    trainer: FakeTrainer
    trained: dict[str, Tensor]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Has not trained yet."""
        preprocessing = Preprocessing(
            numeric=tuple(NumericColumn(name=each, mean=0, scale=1) for each in "ab"),
            target=Target(name="y", task="classification", classes=("no", "yes")),
        )
        files = {
            PREPROCESSING: preprocessing.model_dump_json().encode(),
            SPECIFICATION: b'{"weight_column": "w"}',
        }
        order = Order.of(
            built=Built(ModelFormat.TORCH_PACKAGE, files, model_pb2.Signature()),
            original="models/m/versions/1",
            dataset_version="datasets/d/versions/1",
            row_count=ROWS,
            model="models/m",
            workers=3,
        )
        self.school = School(self.owner, self.trainer, order, self.notes.append)
        self.network = fresh()

    def train(self, plan: Plan = PLAN) -> str:
        """Trains the network."""
        examples = Examples(
            (torch.randn(64, 2),), torch.zeros(64, dtype=torch.long), "classification"
        )
        own = OwnTutor(fresh(), examples, self.owner.check_cancelled)
        return self.school.tutor(own).train(self.network, SPECIFICATION_OF, "units_50", plan)

    def given(self, file: artifact_pb2.ArtifactRef) -> dict[str, Tensor]:
        """Returns the tensors of a file that the trainer was given."""
        return safetensors.torch.load(b"".join(read_artifact(self.owner.store, file)))

    @property
    def is_taught(self) -> bool:
        """Whether the network has the weights that trainings give."""
        state = self.network.state_dict()
        return all(bool((each == self.trained[name]).all()) for name, each in state.items())


def fresh() -> nn.Module:
    return build_network(SPECIFICATION_OF).eval()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    """Returns what sets a scene; trained versions are in its store."""
    store = MemoryStore()
    create_run(store, pruner_pb2.PruningSpec(), NAME)
    torch.manual_seed(5)
    trained = fresh().state_dict()
    version = model_pb2.ModelVersion(name="models/m-networks/versions/1")
    content = safetensors.torch.save(trained)
    version.artifacts["weights"].CopyFrom(put_artifact(store, "w", content, "application/x"))
    monkeypatch.setattr(tutor_module, "ask_catalog", lambda question: version)
    monkeypatch.setattr(tutor_module, "_FREE_SECONDS", 0.05)
    return lambda **more: Scene(owner_of(store, NAME), FakeTrainer(**more), trained)


def test_workers_train_what_the_pruning_would(scene: Callable[..., Scene]) -> None:
    """The training has the original as parent and teacher, all rows, and the run's label."""
    made = scene()
    before = {name: each.clone() for name, each in made.network.state_dict().items()}
    told = made.train()
    assert made.is_taught and not made.notes and not made.trainer.cancelled
    assert told == "for 4 epochs of 1,000 rows on the trainer's workers (trainingRuns/p-net-1)"
    [run] = made.trainer.created
    assert dict(run.labels) == {"pruning-run": "p"}
    spec = run.spec
    assert spec.parent_model_version == spec.distillation.teacher_model_version
    assert spec.parent_model_version == "models/m/versions/1"
    assert (spec.model, spec.target, list(spec.features)) == ("models/m-networks", "y", ["a", "b"])
    assert (spec.epochs, spec.seed, spec.weight_column) == (4, 3, "w")
    assert (spec.workers.min, spec.workers.wanted, spec.workers.max) == (1, 1, 3)
    assert spec.monitor == trainer_pb2.MONITORED_METRIC_NONE and spec.schedule.cosine_decay
    assert not spec.HasField("growing_decay")
    given = made.given(spec.starting_weights)
    assert all(bool((given[name] == each).all()) for name, each in before.items())


def test_values_have_no_temperature() -> None:
    """The trainer refuses one that would change nothing."""
    preprocessing = Preprocessing(target=Target(name="y", task="regression", scale=2.0))
    files = {PREPROCESSING: preprocessing.model_dump_json().encode()}
    built = Built(ModelFormat.TORCH_PACKAGE, files, model_pb2.Signature())
    order = Order.of(built, "models/m/versions/1", "datasets/d/versions/1", ROWS, "models/m", 1)
    examples = Examples((torch.randn(4, 2),), torch.zeros(4, 1), "regression")
    spec = order.spec(SPECIFICATION_OF, artifact_pb2.ArtifactRef(), examples, 2, 0)
    assert spec.task == dataset_pb2.TASK_REGRESSION and not spec.weight_column
    assert not spec.distillation.HasField("temperature")


def test_decay_is_as_strong_as_the_steps_allow(scene: Callable[..., Scene]) -> None:
    """The same is left at the end, however many rows there are."""
    made = scene()
    vanishing = {"layers.0.bias": torch.tensor([0.0, 1.0, 0.0, 1.0])}
    made.train(Plan(4, 60.0, 0, vanishing))
    strengths = made.given(made.trainer.created[0].spec.growing_decay.strengths)
    expected = strength_of(1e-3, 4 * 8)
    assert strengths["layers.0.bias"].tolist() == pytest.approx([0, expected, 0, expected])


def test_there_are_fewer_epochs_where_time_is_short(scene: Callable[..., Scene]) -> None:
    """An epoch takes a tenth of a second by the estimate, which is doubted fourfold."""
    made = scene()
    made.train(Plan(100, 13.0, 0))
    assert 10 < made.trainer.created[0].spec.epochs < 20


@pytest.mark.parametrize(
    ("trainer", "seconds", "words"),
    [
        ({"error": "The trainer cannot be reached."}, 60.0, "cannot be reached"),
        ({"slots": 0}, 60.0, "No worker of the trainer was free"),
        ({}, 4.0, "too little time"),
        ({"state": run_pb2.RUN_STATE_FAILED}, 60.0, "gave no network"),
        ({"state": run_pb2.RUN_STATE_RUNNING}, 6.0, "took too long"),
    ],
)
def test_without_workers_the_pruning_trains_itself_and_says_so(
    scene: Callable[..., Scene], trainer: dict[str, Any], seconds: float, words: str
) -> None:
    """A pruning never depends on the trainer; what is under way there is cancelled."""
    made = scene(**trainer)
    told = made.train(Plan(4, seconds, 0))
    assert "in the pruning's own process" in told and not made.is_taught
    [note] = made.notes
    assert words in note and "`units_50`" in note and "64 rows" in note
    running = trainer.get("state") == run_pb2.RUN_STATE_RUNNING
    assert made.trainer.cancelled == (["trainingRuns/p-net-1"] if running else [])


def test_a_trainer_that_is_away_is_asked_again_after_a_while(scene: Callable[..., Scene]) -> None:
    """Each question costs seconds of the budget; but one that is back can train again."""
    made = scene(error="The trainer cannot be reached.")
    made.train()
    made.train()
    assert len(made.notes) == 1 and len(made.trainer.filters) == 1
    made.school.away_until = 0.0
    made.train()
    assert len(made.notes) == 2


def test_what_an_earlier_attempt_left_running_is_cancelled(scene: Callable[..., Scene]) -> None:
    """Nobody waits for it any more, and its workers are needed."""
    made = scene(left_over=["trainingRuns/p-net-1"])
    made.school.begin()
    assert made.trainer.cancelled == ["trainingRuns/p-net-1"]
    made.train()
    assert made.trainer.filters == ["labels.pruning-run=p"]
    assert made.trainer.created[0].name == "trainingRuns/p-net-2"


def test_a_pruning_that_is_cancelled_leaves_no_training(scene: Callable[..., Scene]) -> None:
    """Workers are free again at once."""
    made = scene(state=run_pb2.RUN_STATE_RUNNING)
    made.owner.cancelled.set()
    with pytest.raises(RunCancelledError):
        made.train()
    assert made.trainer.cancelled == ["trainingRuns/p-net-1"]
