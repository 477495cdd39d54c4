"""What the command shows of studies: lists, the best trials, words of users that do no harm."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest
from google.protobuf import empty_pb2, text_format

from aimass.tuner.v1 import study_pb2
from common.cli import apply, studies
from common.cli.context import CliContext
from tests.unit.cli.support import shown_by, typer_context

STUDY = text_format.Parse(
    r"""
    name: "studies/flags"
    spec {
      parameters { name: "level" } parameters { name: "block" }
      objectives { name: "seconds" direction: DIRECTION_MINIMIZE }
      objectives { name: "speed" direction: DIRECTION_MAXIMIZE }
      sampler: STUDY_SAMPLER_CMA_ES
    }
    trial_counts { running: 2 completed: 7 }
    """,
    study_pb2.Study(),
)
BEST = text_format.Parse(
    r"""
    name: "studies/flags/trials/4"
    settings { key: "level" value { text: "-O2 \033[2J[bold]" } }
    settings { key: "block" value { integer: 12 } }
    settings { key: "rate" value { number: 0.1234567891 } }
    settings { key: "fast" value { flag: true } }
    values { key: "seconds" value: 1.5 }
    """,
    study_pb2.Trial(),
)


@pytest.fixture
def suite() -> MagicMock:
    """Stubs that know one study."""
    clients = MagicMock()
    clients.studies.ListStudies.return_value = study_pb2.ListStudiesResponse(studies=[STUDY])
    clients.studies.GetStudy.return_value = STUDY
    clients.studies.CreateStudy.return_value = STUDY
    clients.studies.ListBestTrials.return_value = study_pb2.ListBestTrialsResponse(trials=[BEST])
    clients.studies.DeleteStudy.return_value = empty_pb2.Empty()
    return clients


def test_studies_are_listed_with_what_they_make_best(cli: CliContext) -> None:
    studies.list_(typer_context(cli))
    assert "studies/flags" in shown_by(cli)
    assert "least seconds, most speed" in shown_by(cli)


def test_a_study_is_shown_with_its_best_trials(cli: CliContext) -> None:
    """Values of users cannot steer the terminal."""
    studies.show(typer_context(cli), "flags")
    words = shown_by(cli)
    assert "2 running, 7 completed" in words
    assert "seconds=1.5" in words
    assert "block=12 fast=True" in words and "rate=0.123457" in words
    assert "\033[2J" not in words and "[bold]" in words


def test_a_study_is_deleted_by_its_id(cli: CliContext) -> None:
    studies.delete(typer_context(cli), "flags")
    (call,) = cli.clients.studies.DeleteStudy.call_args_list  # type: ignore[attr-defined]
    assert call.args[0].name == "studies/flags"
    assert "is gone" in shown_by(cli)


def test_a_study_is_made_from_a_file(cli: CliContext, tmp_path: Path) -> None:
    """It has no end: the command does not wait for one."""
    file = tmp_path / "study.yaml"
    file.write_text(
        "kind: Study\n"
        "study: {spec: {parameters: [{name: x, integer: {low: 1, high: 9}}],"
        " objectives: [{name: y}]}}\n"
    )
    apply.apply(typer_context(cli), file)
    (call,) = cli.clients.studies.CreateStudy.call_args_list  # type: ignore[attr-defined]
    assert call.args[0].study.spec.parameters[0].integer.high == 9
    assert call.args[0].request_id
    assert "studies/flags was created" in shown_by(cli)
