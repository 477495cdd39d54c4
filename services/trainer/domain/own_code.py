"""Code of a user's own: what is asked for, and how its files are kept."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from common.artifacts.blobs import put_artifact, read_artifact
from common.artifacts.protocol import ObjectStore
from common.artifacts.reference import ArtifactReference
from common.errors import FieldViolation
from common.networks.specification import Specification

Kind = Literal["network", "training", "horovod_script"]
KINDS: tuple[Kind, ...] = ("network", "training", "horovod_script")
MOST_FILES = 500
MOST_BYTES = 1_000_000
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", re.ASCII)
_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)


def checked_files(files: dict[str, str]) -> dict[str, str]:
    """Returns files by path. Raises `ValueError` where a path is unsafe, or they are too large."""
    for path in files:
        if _PATH.fullmatch(path) is None:
            raise ValueError(
                f"`{path}` is no path of letters, digits, `_`, `-`, `.` and single `/`, none of "
                "whose parts begins with a dot; rename it"
            )
    size = sum(len(text.encode()) for text in files.values())
    if size > MOST_BYTES:
        raise ValueError(f"has {size:,} bytes; at most {MOST_BYTES:,} are taken")
    return files


class OwnCode(Specification):
    """See `aimass.trainer.v1.OwnCode`."""

    files: dict[str, str] = Field({}, max_length=MOST_FILES)
    archive: ArtifactReference | None = None
    network: str | None = None
    training: str | None = None
    horovod_script: str | None = None
    arguments: dict[str, str] = Field({}, max_length=100)

    @field_validator("files")
    @classmethod
    def _are_small_and_safe(cls, value: dict[str, str]) -> dict[str, str]:
        return checked_files(value)

    @field_validator("arguments")
    @classmethod
    def _have_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"`{name}` is no name of letters, digits, `_` and `-`; rename it")
        return value

    @model_validator(mode="after")
    def _is_one(self) -> "OwnCode":
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError("give exactly one of network, training and horovod_script")
        if bool(self.files) == (self.archive is not None):
            raise ValueError("give `files`, or the `archive` of an earlier run")
        return self

    @property
    def kind(self) -> Kind:
        """Which of its three uses it has."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def entry(self) -> str:
        """`module:function`, or the path of a script."""
        entry: str = getattr(self, self.kind)
        return entry

    @property
    def is_script(self) -> bool:
        """Whether it does all of the training."""
        return self.kind != "network"

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yields fields that are wrong, from `code` on, with what is wrong."""
        field = f"code.{self.kind}"
        if self.kind == "horovod_script":
            if self.files and self.entry not in self.files:
                yield field, f"There is no file `{self.entry}`; give the path of one of `files`."
        elif _ENTRY.fullmatch(self.entry) is None:
            yield field, f"`{self.entry}` is no `module:function`, `my_code:train` for instance."
        elif self.files and not self._has_module(self.entry.partition(":")[0]):
            module = self.entry.partition(":")[0].replace(".", "/")
            yield (
                field,
                f"No file is the module; give `{module}.py` or `{module}/__init__.py` in `files`.",
            )

    def _has_module(self, module: str) -> bool:
        path = module.replace(".", "/")
        return f"{path}.py" in self.files or f"{path}/__init__.py" in self.files


def code_violations(code: OwnCode | None, field: str) -> list[FieldViolation]:
    """Returns what is wrong with code, as far as can be seen without running it.

    Args:
        code: What was asked for.
        field: Path of the specification that it is in.
    """
    if code is None:
        return []
    return [FieldViolation(f"{field}.{name}", text) for name, text in code.problems()]


def keep_files(code: OwnCode, store: ObjectStore) -> OwnCode:
    """Stores the files of code by their digest; returns the code with the reference in their place.

    Raises:
        UnavailableError: The store is away.
    """
    if not code.files:
        return code
    content = json.dumps(code.files, sort_keys=True).encode()
    key = f"code/{hashlib.sha256(content).hexdigest()}/files.json"
    kept = put_artifact(store, key, content, "application/json")
    reference = ArtifactReference(
        uri=kept.uri, sha256=kept.sha256, size_bytes=kept.size_bytes, media_type=kept.media_type
    )
    return code.model_copy(update={"files": {}, "archive": reference})


def read_files(code: OwnCode, store: ObjectStore) -> Mapping[str, str]:
    """Returns the files of code by their paths.

    Raises:
        DataLossError: They are gone or damaged.
        ValueError: The archive holds something else.
    """
    if code.archive is None:
        return code.files
    content = json.loads(b"".join(read_artifact(store, code.archive.artifact)))
    return checked_files(content)
