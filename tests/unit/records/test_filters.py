"""Filters of lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.catalog.v1.dataset_pb2 import DatasetImport
from aimass.trainer.v1.trainer_pb2 import TrainingRun
from aimass.type.v1.run_pb2 import RunState
from common.errors import InvalidFieldError
from common.records.envelope import descriptor_of
from common.records.filters import compile_filter


def matches(text: str, message: TrainingRun) -> bool:
    """Whether a run matches a filter."""
    return compile_filter(text, descriptor_of(TrainingRun))(message)


@pytest.fixture
def run() -> TrainingRun:
    run = TrainingRun(
        name="trainingRuns/a", labels={"team": "vision", "a.b": "dots", "s": "x y", "x y:z": "odd"}
    )
    run.status.create_time.FromJsonString("2026-11-24T12:00:00Z")
    run.status.progress.remaining.FromSeconds(90)
    run.status.state = RunState.RUN_STATE_RUNNING
    run.status.progress.fraction = 0.5
    run.status.lineage.inputs.append("datasets/digits/versions/1")
    run.spec.model = "models/m"
    run.spec.epochs = 0
    run.spec.schedule.warmup.scale_with_workers = False
    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  ", True),
        ("state=RUNNING", True),
        ("state=RUN_STATE_RUNNING", True),
        ("status.state=RUNNING", True),
        ("state!=RUNNING", False),
        ("state=PENDING", False),
        ("labels.team=vision", True),
        ("labels.team=speech", False),
        ("labels.missing=x", False),
        ("labels.missing!=x", True),
        ("labels.a.b=dots", True),
        ('labels.s="x y"', True),
        (r'labels.s="x\" y"', False),
        ("state=RUNNING AND labels.team=vision", True),
        ("state = RUNNING  AND  labels.team = vision ", True),
        ("state=RUNNING AND labels.team=speech", False),
        ("name=trainingRuns/a", True),
        ("spec.model=models/m", True),
        ("status.progress.fraction=0.5", True),
        ("status.attempt=0", True),
        ("spec.epochs=0", True),
        ("spec.epochs=1", False),
        ("spec.seed=0", False),
        ("spec.seed!=0", True),
        ("spec.schedule.warmup.scale_with_workers=false", True),
        ("status.lineage.inputs=datasets/digits/versions/1", True),
        ("status.lineage.inputs=datasets/digits/versions/2", False),
        ("spec.optimizer.kind=UNSPECIFIED", True),
        ("status.progress.fraction>0.4", True),
        ("status.progress.fraction>0.5", False),
        ("status.progress.fraction>=0.5", True),
        ("status.progress.fraction<0.6 AND status.progress.fraction<=0.5", True),
        ('name>="trainingRuns/a"', True),
        ("spec.seed<1", False),
        ("status.create_time>2026-01-01T00:00:00Z", True),
        ('status.create_time<"2026-01-01T00:00:00Z"', False),
        ("status.end_time>2026-01-01T00:00:00Z", False),
        ("status.end_time:*", False),
        ("status.create_time:*", True),
        ("status.progress.remaining<=90s", True),
        ("status.progress.remaining=1s", False),
        ("labels:team", True),
        ("labels:colour", False),
        ("labels:*", True),
        ("labels.team:*", True),
        ("labels.team:vis", True),
        ("labels.missing:vis", False),
        ('labels."x y:z"=odd', True),
        ("status.lineage.inputs:datasets/digits/versions/1", True),
        ("status.lineage.outputs:*", False),
        ('name:"Runs/"', True),
        ("name:*", True),
        ("spec.model:*", True),
        ("spec.dataset_version:*", False),
        ("state:RUNNING", True),
    ],
)
def test_what_matches(run: TrainingRun, text: str, expected: bool) -> None:
    """Protects the language that the contract promises: paths, short names, maps, presence."""
    assert matches(text, run) is expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour=red", "no field of TrainingRun"),
        ("name==a", "not understood"),
        ("status.colour=red", "no field of RunStatus"),
        ("labels=x", "is a map"),
        ("status=x", "cannot be compared"),
        ("status.create_time=x", "write it as `2026-"),
        ("status.create_time>x", "write it as `2026-"),
        ("state>RUNNING", "has no order"),
        ("labels<x", "is a map"),
        ("status.lineage.inputs<x", "has no order"),
        ("status:x", "cannot be compared"),
        ("name.x=y", "has no fields"),
        ("status.lineage.inputs.x=y", "has no fields"),
        ("state=ASLEEP", "there are UNSPECIFIED, PENDING, RUNNING"),
        ("state=running", "there are"),
        ("spec.epochs=many", "no value of"),
        ("spec.schedule.warmup.scale_with_workers=yes", "no value of"),
        ("state", "must be terms"),
        ("state=", "must be terms"),
        ("=x", "must be terms"),
        ("state=RUNNING AND", "must be terms"),
        ("state=RUNNING OR state=PENDING", "must be terms"),
        ("state=RUNNING labels.team=x", "must be terms"),
        ("AND state=RUNNING", "must be terms"),
        ('labels.team="open', "must be terms"),
        ("name=" + "x" * 2000, "at most"),
    ],
)
def test_what_is_refused(text: str, complaint: str) -> None:
    """Protects callers from a filter that silently matches nothing: the error says why."""
    with pytest.raises(InvalidFieldError, match=complaint) as raised:
        compile_filter(text, descriptor_of(TrainingRun))
    assert raised.value.violations[0].field == "filter"


@given(text=st.text() | st.text('state=<>:*RUNIG!"\\ AND.labels ', max_size=60))
def test_no_text_breaks_the_compiler(text: str) -> None:
    """Protects services from INTERNAL errors: a filter works or is refused."""
    try:
        predicate = compile_filter(text, descriptor_of(DatasetImport))
    except InvalidFieldError:
        return
    assert predicate(DatasetImport()) in (True, False)


@given(key=st.from_regex(r"[a-z][a-z0-9./_-]{0,20}", fullmatch=True), value=st.text())
def test_every_label_can_be_asked_for(key: str, value: str) -> None:
    """Protects labels with spaces, quotes and backslashes in their values."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    text = f'labels.{key}="{quoted}"'
    if len(text) > 2000:
        return
    assert matches(text, TrainingRun(labels={key: value}))
    assert not matches(text, TrainingRun(labels={key: value + "x"}))
