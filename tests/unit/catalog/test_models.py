"""Models: aliases, labels, and what they hold against deletion."""

from collections.abc import Callable, Sequence

import pytest

from aimass.catalog.v1 import model_pb2
from common.artifacts.memory import MemoryStore
from common.errors import FailedPreconditionError, InvalidFieldError, NotFoundError
from common.names import ModelVersionName
from common.records import RecordStore
from common.records.envelope import M
from services.catalog.domain.models import Models
from services.catalog.domain.resources import numbered_name
from services.catalog.domain.versions import Versions
from services.catalog.kind import DATASETS


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def models(store: MemoryStore) -> Models:
    """Two versions of `models/m`."""
    models = Models(store, RecordStore(store))
    for accuracy in (0.5, 0.75):
        draft = model_pb2.ModelVersion(metrics={"test/accuracy": accuracy}, labels={"a": "b"})
        models.create("models/m", draft, None, [])
    return models


def version(text: str) -> ModelVersionName:
    return ModelVersionName.from_name(f"models/m/versions/{text}")


def test_an_alias_stands_for_a_number(models: Models) -> None:
    """An alias is found, moved, shown at its version, and removed."""
    assert dict(models.set_alias(version("1"), "champion").aliases) == {"champion": 1}
    found = models.get(version("champion"))
    assert found.name == "models/m/versions/1"
    assert list(found.aliases) == ["champion"]
    models.set_alias(version("champion"), "challenger")
    models.set_alias(version("latest"), "champion")
    assert models.get(version("champion")).name == "models/m/versions/2"
    assert list(models.get(version("1")).aliases) == ["challenger"]
    listed = models.list("models/m", 0, "", filter="aliases:challenger").resources
    assert [each.name for each in listed] == ["models/m/versions/1"]
    assert not models.delete_alias("models/m", "champion").aliases.keys() & {"champion"}
    with pytest.raises(NotFoundError, match="no alias `champion`; it has `challenger`"):
        models.get(version("champion"))
    with pytest.raises(NotFoundError, match="no alias"):
        models.delete_alias("models/m", "champion")


def test_an_alias_is_moved_only_from_where_it_was_seen(models: Models) -> None:
    """Protects whoever decides by what an alias points at: nobody moves it unseen."""
    with pytest.raises(FailedPreconditionError, match="points nowhere"):
        models.set_alias(version("1"), "champion", 2)
    models.set_alias(version("1"), "champion", 0)
    models.set_alias(version("2"), "champion", 1)
    models.set_alias(version("2"), "champion", 1)  # a repeat
    with pytest.raises(FailedPreconditionError, match="points at version 2"):
        models.set_alias(version("1"), "champion", 0)


def test_aliases_are_not_stored_with_versions(models: Models, store: MemoryStore) -> None:
    """Protects the one place of aliases: what is stored of a version never names them."""
    models.set_alias(version("1"), "champion")
    models.set_labels(version("champion"), {"stage": "live"})
    data, _ = store.read("records/models/m/versions/1.json")
    assert b"champion" not in data
    assert b"live" in data


@pytest.mark.parametrize("alias", ["latest", "1", "Champion", "", "a/b", "x" * 64])
def test_bad_aliases(models: Models, alias: str) -> None:
    """Protects names: an alias is never taken for a number or for `latest`."""
    with pytest.raises(InvalidFieldError) as raised:
        models.set_alias(version("1"), alias)
    assert raised.value.violations[0].field == "alias"


def test_too_many_aliases(models: Models) -> None:
    """Protects the model's record from growing without end; moving one still works."""
    for number in range(64):
        models.set_alias(version("1"), f"a{number}")
    with pytest.raises(InvalidFieldError, match="64 aliases"):
        models.set_alias(version("1"), "one-more")
    models.set_alias(version("2"), "a0")


def test_a_version_with_an_alias_stays(models: Models) -> None:
    """Protects what is served as champion: the refusal names the alias and the cure."""
    models.set_alias(version("1"), "champion")
    with pytest.raises(FailedPreconditionError, match="alias `champion` points at"):
        models.delete(version("1"))
    with pytest.raises(InvalidFieldError, match="by its number"):
        models.delete(version("champion"))
    models.set_labels(version("1"), {})  # The refused deletion left it as it was.
    models.delete_alias("models/m", "champion")
    models.delete(version("1"))
    with pytest.raises(NotFoundError):
        models.set_alias(version("1"), "champion")
    assert not models.get_parent("models/m").aliases


class PausedRecords(RecordStore):
    """Records whose deletion of a version does something after each of its two checks."""

    def __init__(self, store: MemoryStore, *between: Callable[[], object]) -> None:
        super().__init__(store)
        self._between = iter(between)

    def delete(
        self,
        name: str,
        message_type: type[M],
        *,
        check: Callable[[M], None] | None = None,
        purge: Sequence[str] = (),
    ) -> None:
        def paused(resource: M) -> None:
            assert check is not None
            check(resource)
            next(self._between, lambda: None)()

        super().delete(name, message_type, check=paused, purge=purge)


def test_an_alias_that_comes_during_a_deletion(store: MemoryStore, models: Models) -> None:
    """Protects against an alias of a version that is gone: deletion or alias gives way."""
    records = PausedRecords(store, lambda: models.set_alias(version("1"), "champion"))
    with pytest.raises(FailedPreconditionError, match="champion"):
        Models(store, records).delete(version("1"))
    assert models.get(version("champion")).name == "models/m/versions/1"


def test_an_alias_that_comes_too_late(store: MemoryStore, models: Models) -> None:
    """Protects the former alias: where the new version is going away, it stays where it was."""
    models.set_alias(version("2"), "champion")

    def late() -> None:
        with pytest.raises(FailedPreconditionError, match="being deleted"):
            models.set_alias(version("1"), "champion")

    records = PausedRecords(store, lambda: None, late)
    Models(store, records).delete(version("1"))
    assert dict(models.get_parent("models/m").aliases) == {"champion": 2}


def test_labels_change(models: Models) -> None:
    """Labels are replaced as a whole and checked; nothing else changes."""
    before = models.get(version("2"))
    after = models.set_labels(version("latest"), {"stage": "live"})
    assert dict(after.labels) == {"stage": "live"}
    assert after.metrics == before.metrics and after.create_time == before.create_time
    with pytest.raises(InvalidFieldError) as raised:
        models.set_labels(version("2"), {"": "x"})
    assert raised.value.violations[0].field == "model_version.labels"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models/m/versions/champion", "models/m/versions/1"),
        ("models/m/versions/latest", "models/m/versions/2"),
        ("models/m/versions/7", "models/m/versions/7"),
        ("trainingRuns/a", "trainingRuns/a"),
        ("uploads/u", "uploads/u"),
    ],
)
def test_numbered_names(store: MemoryStore, models: Models, text: str, expected: str) -> None:
    """Protects lineage: what is stored names numbers, which never move."""
    models.set_alias(version("1"), "champion")
    datasets = Versions(store, RecordStore(store), DATASETS)
    assert numbered_name(datasets, models, text, "f") == expected


@pytest.mark.parametrize("text", ["models/m/versions/gone", "datasets/d/versions/latest"])
def test_names_that_stand_for_nothing(store: MemoryStore, models: Models, text: str) -> None:
    """Protects the caller's error: it names the field that holds the name."""
    with pytest.raises(NotFoundError) as raised:
        numbered_name(Versions(store, RecordStore(store), DATASETS), models, text, "f")
    assert raised.value.violations[0].field == "f"
