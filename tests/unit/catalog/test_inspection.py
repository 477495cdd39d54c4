"""The process that loads foreign models: its limits, and its end."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.data.schema import Task
from common.errors import FailedPreconditionError, InvalidFieldError
from common.runs.errors import RunCancelledError
from services.catalog import inspection
from services.catalog.domain.model_spec import ModelFormat, ModelImportSpec
from services.catalog.inspection import MODEL, Answer, Limits, inspect_in_process
from tests.support.foreign_models import linear_onnx

SPEC = ModelImportSpec(model="models/m", upload="uploads/u", task=Task.REGRESSION)
GIB = 1024**3


def inspections() -> Iterator[psutil.Process]:
    """The processes that this test has started."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # It may have ended, or not yet begun.
            if "services.catalog.inspection" in child.cmdline():
                yield child


def inspect(folder: Path, limits: Limits, content: bytes = b"", cancelled: bool = False) -> Answer:
    """Has a file looked into; fails where a process is left."""
    (folder / MODEL).write_bytes(content or linear_onnx().SerializeToString())

    def beat() -> None:
        if cancelled:
            raise RunCancelledError("cancelled")

    try:
        return inspect_in_process(folder, ModelFormat.ONNX, SPEC, limits, beat)
    finally:
        assert not list(inspections())


def test_what_was_found_comes_back(tmp_path: Path) -> None:
    """Protects the way between the processes: result and error arrive as they are."""
    found = inspect(tmp_path, Limits(8 * GIB, 100))
    assert (found.task, found.parameter_count) == ("regression", 12)
    assert found.signature.inputs[0].name == "x"
    assert found.samples.is_file()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(InvalidFieldError) as raised:
        inspect(other, Limits(8 * GIB, 100), b"nonsense")
    assert raised.value.violations[0].field == "model_import.spec.upload"
    assert raised.value.reason == "BAD_MODEL"


def test_memory_and_time_are_bounded(tmp_path: Path) -> None:
    """Protects the host: a process over its limits is ended, and the error says how to go on."""
    with pytest.raises(FailedPreconditionError, match="MODEL_IMPORT_MEMORY_BYTES"):
        inspect(tmp_path, Limits(GIB // 8, 100))
    with pytest.raises(FailedPreconditionError, match="MODEL_IMPORT_SECONDS"):
        inspect(tmp_path, Limits(8 * GIB, 0))


def test_a_cancelled_import_ends_the_process(tmp_path: Path) -> None:
    """Protects cancel: nothing goes on loading."""
    with pytest.raises(RunCancelledError):
        inspect(tmp_path, Limits(8 * GIB, 100), cancelled=True)


def test_no_secret_reaches_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the store's keys from a model that would run code."""
    monkeypatch.setenv("AIMASS_S3_SECRET_KEY", "hush")
    seen: list[dict[str, str]] = []

    def beat() -> None:
        for child in inspections():
            with contextlib.suppress(psutil.Error):
                seen.append(child.environ())

    (tmp_path / MODEL).write_bytes(linear_onnx().SerializeToString())
    inspect_in_process(tmp_path, ModelFormat.ONNX, SPEC, Limits(8 * GIB, 100), beat)
    assert seen
    assert "AIMASS_S3_SECRET_KEY" not in seen[-1]


@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError, RuntimeError])
def test_only_limits_are_told_as_limits(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects callers from giving memory to a file with another fault."""

    def fail(_: Path) -> None:
        raise error("no such thing")

    monkeypatch.setattr(sys, "argv", ["inspection", str(tmp_path)])
    monkeypatch.setattr(inspection, "_work", fail)
    monkeypatch.setattr(inspection, "_run", lambda *_: inspection.main())
    with pytest.raises(InvalidFieldError, match=f"cannot be tried: {error.__name__}: .*no such"):
        inspect(tmp_path, Limits(8 * GIB, 100))
