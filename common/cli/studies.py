"""`aimass studies`: what was tried of programs and other things, and what was best."""

from collections.abc import Iterator
from typing import Annotated

import typer

from aimass.tuner.v1 import study_pb2, tuner_pb2
from common.cli import text
from common.cli.context import CliContext, context_of

app = typer.Typer(
    help="Studies: what to try next of anything that can be started and measured.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="`studies/<id>`, or the id.")]
_PAGE = 1000
_DIGITS = 6


@app.command("list")
def list_(
    context: typer.Context,
    filter_: Annotated[
        str, typer.Option("--filter", help="For example `labels.team=compilers`.")
    ] = "",
    most: Annotated[int, typer.Option(min=1, max=_PAGE, help="At most this many.")] = 100,
) -> None:
    """List studies, newest first."""
    cli = context_of(context)
    request = study_pb2.ListStudiesRequest(filter=filter_, page_size=most)
    found = cli.clients.studies.ListStudies(request).studies
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [(each.name, *_subject(each.spec), text.moment(each.create_time)) for each in found]
    cli.print_table(("name", "made best", ">parameters", "sampler", "created"), rows)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show a study: its trials by state, and the best of them."""
    cli = context_of(context)
    study = cli.clients.studies.GetStudy(study_pb2.GetStudyRequest(name=full_name(name)))
    if cli.as_json:
        cli.print_json([study])
        return
    objectives, parameters, sampler = _subject(study.spec)
    counts = ", ".join(
        f"{number} {field.name}" for field, number in study.trial_counts.ListFields()
    )
    cli.console.print(f"{study.name}: {counts or 'no trials yet'}", markup=False)
    words = f"{objectives} over {text.count(int(parameters), 'parameter')}, by {sampler}"
    cli.console.print(text.harmless(words), soft_wrap=True, markup=False)
    _print_best(cli, study.name)


@app.command()
def best(context: typer.Context, name: Name) -> None:
    """List the best trials: of several objectives those that no other one beats."""
    _print_best(context_of(context), full_name(name))


@app.command()
def delete(context: typer.Context, name: Name) -> None:
    """Delete a study with its trials."""
    cli = context_of(context)
    cli.clients.studies.DeleteStudy(study_pb2.DeleteStudyRequest(name=full_name(name)))
    cli.console.print(f"[bold]{full_name(name)}[/] is gone")


def full_name(name: str) -> str:
    """Returns a study's resource name."""
    return name if "/" in name else f"studies/{name}"


def _subject(spec: study_pb2.StudySpec) -> tuple[str, str, str]:
    """Returns what is made best, the number of parameters and the sampler."""
    ways = {study_pb2.DIRECTION_MAXIMIZE: "most"}
    objectives = ", ".join(
        f"{ways.get(each.direction, 'least')} {each.name}" for each in spec.objectives
    )
    sampler = study_pb2.StudySampler.Name(spec.sampler)
    return (
        objectives,
        str(len(spec.parameters)),
        text.enum_word(sampler, "STUDY_SAMPLER_"),
    )


def _print_best(cli: CliContext, name: str) -> None:
    request = study_pb2.ListBestTrialsRequest(parent=name)
    found = cli.clients.studies.ListBestTrials(request).trials
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [
        (each.name.rpartition("/")[2], _numbers(each), " ".join(_settings(each))) for each in found
    ]
    cli.print_table((">best trial", "values", "settings"), rows)


def _numbers(trial: study_pb2.Trial) -> str:
    values = sorted(trial.values.items())
    return " ".join(f"{name}={text.number(value, _DIGITS)}" for name, value in values)


def _settings(trial: study_pb2.Trial) -> Iterator[str]:
    for name, setting in sorted(trial.settings.items()):
        yield f"{name}={_value(setting)}"


def _value(setting: tuner_pb2.Setting) -> str:
    value = getattr(setting, setting.WhichOneof("value") or "text")
    return text.number(value, _DIGITS) if isinstance(value, float) else str(value)
