"""Files that runs have made, to be saved or looked at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aimass.type.v1 import artifact_pb2
from common.cli import text
from common.cli.context import CliContext
from common.cli.errors import CliError
from common.cli.run_kinds import Run, state_of
from common.cli.upload import download_with_bar


def file_of(run: Run, part: str) -> artifact_pb2.ArtifactRef:
    """Returns a file of a run.

    Args:
        run: The run.
        part: The field that refers to it.

    Raises:
        CliError: The run has not made it.
    """
    artifact: artifact_pb2.ArtifactRef = getattr(run, part)
    if not artifact.uri:
        hint = f"aimass runs watch {run.name}"
        raise CliError(f"{run.name} is {state_of(run)} and has no {part}.", hint=hint)
    return artifact


def download_files(
    cli: CliContext, run: Run, files: Mapping[str, str], to: Path | None, only: Sequence[str]
) -> None:
    """Downloads files of a run, checked against their digests.

    Args:
        cli: The command's state.
        run: The run.
        files: By field that refers to a file, the name it is saved under.
        to: Folder; None for one in the name of the run's id.
        only: Fields; none for all.

    Raises:
        CliError: There is no such field, or the run has not made the file.
    """
    for part in only:
        if part not in files:
            there = " and ".join(sorted(files))
            raise CliError(f"{run.name} has no {part}; it has {there}.")
    wanted = [(part, file_of(run, part)) for part in only or sorted(files)]
    folder = to or Path(run.name.rpartition("/")[2])
    folder.mkdir(parents=True, exist_ok=True)
    for part, artifact in wanted:
        path = folder / files[part]
        download_with_bar(cli, artifact, path)
        cli.console.print(f"{path}  {text.size(artifact.size_bytes)}")
