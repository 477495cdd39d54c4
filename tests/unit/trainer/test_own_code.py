"""Code of users' own: what is refused, how its files are kept, where its failures are told."""

import sys
from pathlib import Path

import pytest
from horovod.common.exceptions import HorovodInternalError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.artifacts.memory import MemoryStore
from common.errors import DataLossError
from services.trainer.domain.own_code import OwnCode, code_violations, keep_files, read_files
from services.trainer.worker.own_code.files import OwnCodeError, function_of, told, unpacked

SOURCE = "def build(inputs, outputs, arguments):\n    return arguments\n"


@given(st.text(max_size=30))
def test_no_path_leaves_the_folder(path: str) -> None:
    """Whatever a path is called: it is refused, or lies in the folder."""
    try:
        code = OwnCode(files={path: ""}, network="a:b")
    except ValidationError as error:
        assert "rename it" in str(error)
        return
    folder = Path("/code")
    assert (folder / next(iter(code.files))).resolve().is_relative_to(folder)
    assert not any(part.startswith(".") for part in Path(path).parts)


@pytest.mark.parametrize(
    ("fields", "told_of"),
    [
        ({"files": {"a.py": ""}}, "give exactly one of network, training and horovod_script"),
        ({"files": {"a.py": ""}, "network": "a:b", "training": "a:b"}, "give exactly one"),
        ({"network": "a:b"}, "give `files`, or the `archive`"),
        ({"files": {"a.py": "x" * 1_000_001}, "network": "a:b"}, "at most 1,000,000"),
        ({"files": {"a.py": ""}, "network": "a:b", "arguments": {"-x": "1"}}, "is no name"),
    ],
)
def test_what_cannot_run_is_refused(fields: dict[str, object], told_of: str) -> None:
    with pytest.raises(ValidationError, match=told_of):
        OwnCode.model_validate(fields)


@pytest.mark.parametrize(
    ("files", "entry", "told_of"),
    [
        ({"a.py": ""}, {"network": "a"}, "is no `module:function`"),
        ({"a.py": ""}, {"training": "b.c:train"}, "give `b/c.py` or `b/c/__init__.py`"),
        ({"a.py": ""}, {"horovod_script": "b.py"}, "There is no file `b.py`"),
    ],
)
def test_entries_must_be_among_the_files(
    files: dict[str, str], entry: dict[str, str], told_of: str
) -> None:
    """What is missing is told before the run."""
    code = OwnCode.model_validate({"files": files, **entry})
    [found] = code_violations(code, "spec")
    assert found.field == f"spec.code.{code.kind}"
    assert told_of in found.description


def test_files_are_kept_by_their_digest() -> None:
    """The same files are one object, and come back as they were."""
    store = MemoryStore()
    code = OwnCode(files={"a.py": SOURCE, "data/b.txt": "b"}, network="a:build")
    kept = keep_files(code, store)
    assert kept.files == {} and kept.archive is not None
    assert keep_files(kept, store) == kept == keep_files(code, store)
    assert read_files(kept, store) == code.files
    assert code_violations(kept, "spec") == []


def test_modules_and_data_are_there_while_code_runs() -> None:
    """Packages import each other and read their files; nothing is left behind."""
    reading = "from pathlib import Path\nTEXT = (Path(__file__).parent / 'b.txt').read_text()\n"
    files = {
        "own_package/__init__.py": "",
        "own_package/reading.py": reading,
        "own_package/b.txt": "told",
        "own_start.py": "from own_package.reading import TEXT\ndef say():\n    return TEXT\n",
    }
    code = OwnCode(files=files, training="own_start:say")
    with unpacked(code, MemoryStore()) as folder:
        assert function_of(code)() == "told"
    assert not folder.exists()


def test_files_that_are_gone_are_told_of() -> None:
    """Not as a failure to tidy up after them."""
    path, kept = (
        list(sys.path),
        keep_files(OwnCode(files={"a.py": ""}, network="a:b"), MemoryStore()),
    )
    with pytest.raises(DataLossError, match="is gone"), unpacked(kept, MemoryStore()):
        pass
    assert sys.path == path


def test_failures_are_told_with_their_place() -> None:
    """A lost worker is no failure of the code."""
    with (
        pytest.raises(OwnCodeError, match=r"ZeroDivisionError: .* \(test_own_code.py:\d+\)"),
        told(),
    ):
        print(1 / 0)
    with pytest.raises(OwnCodeError, match="exit code 3"), told():
        raise SystemExit(3)
    with pytest.raises(HorovodInternalError), told():
        raise HorovodInternalError("gone")
    with told():
        raise SystemExit(0)
    with pytest.raises(OwnCodeError, match="has no function `absent`"):
        function_of(OwnCode(files={"a.py": ""}, network="json:absent"))
