"""A comparison as a whole: its parts, its message, its report."""

import dataclasses
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from aimass.analyzer.v1 import comparison_pb2
from common.data.schema import Column, ColumnType
from common.protobuf import from_plain
from common.reports.rendering import render
from common.reports.report import Gallery, Part, Report, Section, Table
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.comparison import PIECES, Piece, compare
from services.analyzer.domain.comparison.page import SHOWS, show_comparison
from services.analyzer.domain.comparison.summary import Outcome
from services.analyzer.domain.comparison.versions import Versions
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.part import PartName, PartResult, PartState
from services.analyzer.domain.subject import History, Subject
from tests.support.analysis import sample_of, trained_cnn, trained_mlp
from tests.unit.analyzer.activations_support import onnx_twin
from tests.unit.analyzer.comparison_support import (
    ALL,
    compared,
    giving,
    numbered,
    shown,
    sure,
    with_weights,
)
from tests.unit.analyzer.robustness_support import subject_with

SECONDS = 12


def rendered(sections: Sequence[Section]) -> str:
    return render(Report("Comparison", {}, sections, ("verdict",)))


def all_parts(sections: Sequence[Section]) -> list[Part]:
    flat = [each for section in sections for each in (section, *section.subsections)]
    return [part for section in flat for part in section.parts]


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained_mlp(tmp_path_factory.mktemp("mlp"), epochs=15)


@pytest.fixture(scope="module")
def pruned(mlp: Subject, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The network without the smaller half of its first weights, in half the bytes."""
    assert isinstance(mlp.model, TorchPackage)
    first = mlp.model.network.state_dict()["layers.0.weight"]
    kept = torch.where(first.abs() > first.abs().median(), first, 0.0)
    changes = {"layers.0.weight": kept}
    package = with_weights(mlp.model, tmp_path_factory.mktemp("pruned"), changes)
    return replace(mlp, model=package, size_bytes=mlp.size_bytes // 2)


def with_history(subjects: Sequence[Subject]) -> list[Subject]:
    epochs = np.arange(1, 6)
    return [
        replace(
            each,
            histories=(History(each.name, epochs, {"validation/loss": place + 1 / epochs}),),
        )
        for place, each in enumerate(subjects)
    ]


def test_all_parts_of_a_pruned_network_and_its_onnx_twin(mlp: Subject, pruned: Subject) -> None:
    assert isinstance(mlp.model, TorchPackage)
    twin = replace(mlp, model=onnx_twin(mlp.model, mlp.sample))
    trio = with_history(numbered([mlp, pruned, twin]))
    found = compared(trio, ALL, SECONDS)
    states = {each.part: each.state for each in found.outcomes}
    single = {PartName.RELATIONS, PartName.HEALTH}
    assert {part for part, state in states.items() if state is PartState.NOT_APPLICABLE} == single
    assert all(state is not PartState.FAILED for state in states.values()), found.outcomes
    first, second = found.summary.challengers
    assert first.weights is not None
    assert first.weights.tensors
    assert first.ratios is not None
    assert first.ratios.size == pytest.approx(0.5, abs=0.01)
    assert first.ratios.parameters == 1
    assert second.outcome in (Outcome.AS_GOOD, Outcome.UNDECIDED)
    assert second.representations[-1].similarity == pytest.approx(1, abs=1e-3)
    assert len(first.importance) == 30
    assert first.falls
    assert found.summary.versions[0].costs is not None
    message = from_plain(dataclasses.asdict(found.summary), comparison_pb2.ComparisonResult)
    assert message.ByteSize() < 100_000
    sections = shown(found)
    assert len(sections) == len(found.findings.results)
    page = rendered(sections)
    assert "verdict" in page
    assert len(page) < 4_000_000


@pytest.mark.slow
def test_images_that_changed_are_shown_as_pictures(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pair = [trained_cnn(tmp_path_factory.mktemp("cnn"), epochs) for epochs in (1, 3)]
    parts = (PartName.BEHAVIOUR, PartName.STRUCTURE, PartName.ACTIVATIONS, PartName.IMPORTANCE)
    found = compared(numbered(pair), parts, SECONDS)
    states = [each.state for each in found.outcomes]
    assert states == [PartState.DONE] * 3 + [PartState.NOT_APPLICABLE]
    sections = shown(found)
    galleries = [each for each in all_parts(sections) if isinstance(each, Gallery)]
    rows = found.summary.challengers[0].rows
    assert rows is not None
    assert len(galleries) == 2
    assert len(galleries[0].pictures) == len(rows.gained_rows) == 20
    rendered(sections)


def broken(_versions: Versions, _budget: Budget) -> PartResult:
    raise RuntimeError("it broke")


def pair_of_versions() -> list[Subject]:
    truth = np.random.default_rng(0).integers(0, 3, 300)
    return giving([sure((truth + 1) % 3, 3), sure(truth, 3)], truth)


def test_a_part_that_fails_leaves_the_others_whole() -> None:
    pieces = dict(PIECES) | {PartName.STRUCTURE: Piece(broken, 1)}
    wanted = dict.fromkeys([PartName.STRUCTURE, PartName.BEHAVIOUR])
    found = compare(pair_of_versions(), wanted, 10, lambda *_: None, lambda: None, pieces)
    assert [(each.part, each.state) for each in found.outcomes] == [
        (PartName.BEHAVIOUR, PartState.DONE),
        (PartName.STRUCTURE, PartState.FAILED),
    ]
    assert found.outcomes[1].notes == ("RuntimeError: it broke",)
    assert found.summary.challengers[0].outcome is Outcome.BETTER
    assert len(show_comparison(found)) == 1


def test_a_section_that_cannot_be_shown_is_a_part_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = compared(pair_of_versions(), [PartName.BEHAVIOUR, PartName.STRUCTURE])
    monkeypatch.setitem(SHOWS, PartName.STRUCTURE, lambda _: 1 / 0)
    assert len(show_comparison(found)) == 1
    assert found.outcomes[1].state is PartState.FAILED
    assert "cannot be shown" in found.outcomes[1].notes[-1]


def test_what_stops_the_work_is_not_swallowed() -> None:
    class CancelledError(Exception):
        pass

    def stop() -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        compare(pair_of_versions(), {PartName.BEHAVIOUR: None}, 10, lambda *_: None, stop)


def test_progress_is_told_and_only_what_is_wanted_is_done() -> None:
    told: list[tuple[PartName, float]] = []
    wanted = dict.fromkeys([PartName.CURVES, PartName.BEHAVIOUR])
    compare(pair_of_versions(), wanted, 10, lambda *each: told.append(each), lambda: None)
    assert told == [(PartName.BEHAVIOUR, 0.0), (PartName.CURVES, 0.5)]


def test_the_same_comparison_twice_finds_the_same() -> None:
    first, second = (compared(pair_of_versions()).summary for _ in range(2))
    assert first == second


def test_slow_versions_are_compared_on_fewer_rows_and_it_is_said() -> None:
    values = {"a": np.random.default_rng(0).normal(size=900)}
    slow = subject_with(lambda columns: columns["a"], values, values["a"])
    pair = numbered([slow, slow])
    for each in pair:
        each.__dict__["seconds_per_row"] = 0.01
    found = compared(pair, [PartName.BEHAVIOUR], 12)
    rows = found.versions.sample.count
    assert 200 < rows < 300
    assert found.outcomes[0].state is PartState.DONE
    assert found.outcomes[0].notes[0] == (f"For the budget, {rows} of 900 rows were looked at.")
    assert pair[0].sample.count == 900


def test_weights_alone_predict_nothing(mlp: Subject, pruned: Subject) -> None:
    pair = numbered([mlp, pruned])
    found = compared(pair, [PartName.WEIGHTS, PartName.STRUCTURE])
    assert [each.state for each in found.outcomes] == [PartState.DONE] * 2
    assert "outputs" not in pair[0].__dict__
    assert found.verdict.startswith("The versions were not compared by what they get right.")
    assert "2 times smaller" in found.verdict


def test_rows_of_all_types_of_columns_are_told() -> None:
    truth = np.arange(300) % 3
    columns = {
        "sex": Column("sex", ColumnType.CATEGORICAL, categories=("f", "m")),
        "note": Column("note", ColumnType.TEXT),
        "age": Column("age", ColumnType.NUMERIC),
        "vector": Column("vector", ColumnType.EMBEDDING, shape=(2,)),
    }
    values = {
        "sex": np.where(np.arange(300) < 5, -1, np.arange(300) % 2).astype(np.int32),
        "note": np.array([None, *["<b>a & b</b>"] * 299], dtype=object),
        "age": np.where(np.arange(300) < 3, np.nan, 40.5),
        "vector": np.zeros((300, 2)),
    }
    sample = sample_of(columns, values, None)
    wrong = np.where(np.arange(300) < 8, (truth + 1) % 3, truth)
    found = compared(giving([sure(truth, 3), sure(wrong, 3)], truth, sample=sample))
    sections = shown(found)
    tables = [each for each in all_parts(sections) if isinstance(each, Table)]
    lost = next(each for each in tables if each.caption.startswith("Rows that version 2 lost"))
    assert lost.rows[0][-1] == "sex missing, note missing, age missing"
    assert lost.rows[-1][-1] == "sex m, note <b>a & b</b>, age 40.5"
    assert "<b>a" not in rendered(sections)


def test_where_no_row_changed_a_sentence_says_so() -> None:
    """An empty plot would say nothing."""
    truth = np.arange(300) % 3
    found = compared(giving([sure(truth, 3), sure(truth, 3, 0.8)], truth))
    sections = [below for each in shown(found) for below in each.subsections]
    rows = next(each for each in sections if each.title == "Rows that changed")
    assert list(rows.parts) == ["No version gained or lost a row, of 300."]
