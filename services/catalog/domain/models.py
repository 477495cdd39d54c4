"""Models: versions with aliases and labels that can change."""

import re
from collections.abc import Callable, Sequence

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts import ObjectStore
from common.errors import (
    FailedPreconditionError,
    InvalidFieldError,
    NotFoundError,
)
from common.models.store import TEST_VECTORS
from common.names import LATEST, ModelName, ModelVersionName, validate_id
from common.records import Page, RecordStore
from common.runs.kind import check_labels
from common.wording import quoted
from services.catalog.domain.artifacts import require_stored
from services.catalog.domain.existence import require_resource
from services.catalog.domain.versions import Line, VersionName, Versions

_VERSION = "model_version"
_MAX_ALIASES = 64
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_LINE = Line(model_pb2.Model, model_pb2.ModelVersion)


class Models(Versions[model_pb2.Model, model_pb2.ModelVersion]):
    """The suite's models. Safe to use from several threads and processes.

    Aliases are kept with the model. Whoever sets one looks at the version again afterwards, and
    whoever deletes a version looks at the aliases after it was marked: one of them sees the other.
    """

    def __init__(self, store: ObjectStore, records: RecordStore) -> None:
        """Works on the models in a store."""
        super().__init__(store, records, _LINE)

    def get(self, name: VersionName) -> model_pb2.ModelVersion:
        """Returns a version with its aliases, the one that an alias or `latest` stands for.

        Raises:
            NotFoundError: There is none.
        """
        parent = _parent(name.name)
        if name.alias:
            number = _pointed_at(self.get_parent(parent), name.alias)
            name = ModelVersionName(ModelName.from_name(parent).id, number)
        return self._complete(super().get(name))

    def list(
        self,
        parent: str,
        page_size: int,
        page_token: str,
        summary: Callable[[model_pb2.ModelVersion], model_pb2.ModelVersion] | None = None,
        *,
        filter: str = "",
        order_by: str = "",
        complete: Callable[[model_pb2.ModelVersion], model_pb2.ModelVersion] | None = None,
    ) -> Page[model_pb2.ModelVersion]:
        """Returns a page of a model's versions with their aliases. See `Versions.list`."""
        return super().list(
            parent,
            page_size,
            page_token,
            summary,
            filter=filter,
            order_by=order_by,
            complete=complete or _with_aliases(self.get_parent(parent)),
        )

    def delete(
        self,
        name: VersionName,
        purge: Callable[[model_pb2.ModelVersion], Sequence[str]] | None = None,
        check: Callable[[model_pb2.ModelVersion], None] | None = None,
    ) -> None:
        """Deletes a version that nothing refers and no alias points to. See `Versions.delete`."""
        super().delete(name, purge, check or self._require_no_alias)

    def set_alias(
        self, name: ModelVersionName, alias: str, former_version: int | None = None
    ) -> model_pb2.Model:
        """Points an alias at a version; returns the model.

        Args:
            name: The version.
            alias: The alias; moved where it points at another version.
            former_version: Only where it points at this version, 0 for nowhere, or where it is set
                already, so that a repeat finds its own work; None for wherever it points.

        Raises:
            InvalidFieldError: The alias is no id, or there are too many.
            NotFoundError: There is no such version.
            FailedPreconditionError: The version is being deleted, or the alias points elsewhere.
        """
        if validate_id(alias, "alias") == LATEST:
            raise InvalidFieldError("alias", "must not be `latest`, which is the newest version")
        version = self.get(name)
        parent, number = _parent(version.name), int(version.name.rpartition("/")[2])
        former = 0

        def change(model: model_pb2.Model) -> model_pb2.Model:
            nonlocal former
            former = model.aliases.get(alias, 0)
            if former_version is not None and former not in (former_version, number):
                raise _moved(parent, alias, former)
            if not former and len(model.aliases) >= _MAX_ALIASES:
                raise InvalidFieldError("alias", f"{parent} has {_MAX_ALIASES} aliases; remove one")
            model.aliases[alias] = number
            return model

        changed = self._records.update(parent, model_pb2.Model, change).resource
        try:
            self._records.update(version.name, model_pb2.ModelVersion, lambda unchanged: None)
        except (NotFoundError, FailedPreconditionError):
            self._put_back(parent, alias, number, former)
            raise
        return changed

    def delete_alias(self, parent: str, alias: str) -> model_pb2.Model:
        """Removes an alias; returns the model. Raises `NotFoundError`."""

        def change(model: model_pb2.Model) -> model_pb2.Model:
            _pointed_at(model, alias)
            del model.aliases[alias]
            return model

        return self._records.update(parent, model_pb2.Model, change).resource

    def set_labels(self, name: ModelVersionName, labels: dict[str, str]) -> model_pb2.ModelVersion:
        """Replaces the labels of a version; returns it.

        Raises:
            InvalidFieldError: Naming `model_version.labels`.
            NotFoundError: There is no such version.
        """
        check_labels(labels, f"{_VERSION}.labels")

        def change(version: model_pb2.ModelVersion) -> model_pb2.ModelVersion:
            version.labels.clear()
            version.labels.update(labels)
            return version

        number = self.get(name).name
        return self._complete(self._records.update(number, model_pb2.ModelVersion, change).resource)

    def _complete(self, version: model_pb2.ModelVersion) -> model_pb2.ModelVersion:
        try:
            model = self.get_parent(_parent(version.name))
        except NotFoundError:
            return version  # Whoever made it crashed before the model: nothing points at it yet.
        return _with_aliases(model)(version)

    def _put_back(self, parent: str, alias: str, number: int, former: int) -> None:
        def change(model: model_pb2.Model) -> model_pb2.Model | None:
            if model.aliases.get(alias) != number:
                return None
            del model.aliases[alias]
            if former and former != number:
                model.aliases[alias] = former
            return model

        self._records.update(parent, model_pb2.Model, change)

    def _require_no_alias(self, version: model_pb2.ModelVersion) -> None:
        aliases = self._complete(version).aliases
        if aliases:
            raise FailedPreconditionError(
                f"The alias `{aliases[0]}` points at {version.name}; move it to another version "
                "or remove it first.",
                reason="IN_USE",
            )


def check_model_version(
    store: ObjectStore,
    records: RecordStore,
    version: model_pb2.ModelVersion,
    resolve: Callable[[str, str], str],
) -> None:
    """Checks a version that is to be registered; drops what the catalog sets itself.

    Args:
        store: Where its artifacts must be.
        records: Where what it came from must be.
        version: What the caller sent. Its inputs are changed to numbered versions.
        resolve: Returns the numbered name of a name in a field.

    Raises:
        InvalidFieldError: Names the field.
        NotFoundError: Names the artifact or input that does not exist.
    """
    if version.task == dataset_pb2.TASK_UNSPECIFIED:
        raise InvalidFieldError(
            f"{_VERSION}.task", "is required; a model that is registered says what it is for"
        )
    check_labels(version.labels, f"{_VERSION}.labels")
    if version.parameter_count < 0:
        raise InvalidFieldError(
            f"{_VERSION}.parameter_count", f"must be at least 0, not {version.parameter_count}"
        )
    for index, name in enumerate(version.lineage.inputs):
        field = f"{_VERSION}.lineage.inputs[{index}]"
        number = resolve(name, field)
        version.lineage.inputs[index] = require_resource(records, number, field)
    _check_artifacts(store, version)
    version.ClearField("name")
    version.ClearField("aliases")


def _check_artifacts(store: ObjectStore, version: model_pb2.ModelVersion) -> None:
    field = f"{_VERSION}.artifacts"
    if not version.artifacts:
        raise InvalidFieldError(field, "must name at least one file of the model")
    if TEST_VECTORS not in version.artifacts:
        raise InvalidFieldError(
            field,
            f"must name `{TEST_VECTORS}`, the test vectors: a safetensors file of tensors "
            "`input.<name>` and `output.<name>`, which are replayed on every load",
        )
    for role, ref in version.artifacts.items():
        if _ROLE.fullmatch(role) is None:
            raise InvalidFieldError(
                field, f"{quoted(role)} must be lower-case letters, digits and underscores"
            )
        require_stored(store, ref, f"{field}.{role}")


def inputs_of(version: model_pb2.ModelVersion) -> list[str]:
    """Returns the names that a version refers to, each once."""
    return list(dict.fromkeys(version.lineage.inputs))


def _parent(name: str) -> str:
    return name.partition("/versions/")[0]


def _pointed_at(model: model_pb2.Model, alias: str) -> int:
    if alias not in model.aliases:
        there = ", ".join(f"`{each}`" for each in sorted(model.aliases))
        has = f"it has {there}" if there else "it has none"
        raise NotFoundError(f"{model.name} has no alias `{alias}`; {has}.")
    return model.aliases[alias]


def _moved(model: str, alias: str, number: int) -> FailedPreconditionError:
    where = f"at version {number}" if number else "nowhere"
    return FailedPreconditionError(
        f"The alias `{alias}` of {model} points {where} by now; look at it again before it is "
        "moved.",
        reason="ALIAS_MOVED",
    )


def _with_aliases(
    model: model_pb2.Model,
) -> Callable[[model_pb2.ModelVersion], model_pb2.ModelVersion]:
    """Returns what tells a version of the model the aliases that point at it."""
    pairs = sorted(model.aliases.items())

    def complete(version: model_pb2.ModelVersion) -> model_pb2.ModelVersion:
        number = int(version.name.rpartition("/")[2])
        version.aliases[:] = [alias for alias, pointed_at in pairs if pointed_at == number]
        return version

    return complete
