"""Resource names, and page tokens."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import names
from common.errors import InvalidFieldError
from common.names import (
    DatasetName,
    DatasetVersionName,
    ModelName,
    ModelVersionName,
    TrainingRunName,
    TrialName,
    UploadName,
)

COLLECTIONS = [UploadName, DatasetName, ModelName, TrainingRunName]
VERSIONS = [DatasetVersionName, ModelVersionName]
ID = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
ids = st.from_regex(ID, fullmatch=True)
numbers = st.none() | st.integers(1, names.MAX_VERSION)
# Text near to names: what an attacker or a slip of the hand would send.
near_names = st.text("az09-/.AZ_ \n\\%é\x00", max_size=70)


@given(id_=ids, kind=st.sampled_from(COLLECTIONS))
def test_collection_names_survive_the_round_trip(id_: str, kind: type[ModelName]) -> None:
    """Protects every reference: a name that was made is understood."""
    name = kind(id_)
    assert name.name == f"{kind.collection}/{id_}"
    assert kind.from_name(name.name) == name
    assert names.validate_name(name.name) == name.name


@given(id_=ids, number=numbers, kind=st.sampled_from(VERSIONS))
def test_version_names_survive_the_round_trip(
    id_: str, number: int | None, kind: type[ModelVersionName]
) -> None:
    """Protects versions, `latest` among them."""
    name = kind(id_, number)
    assert kind.from_name(name.name) == name
    assert name.parent.name == f"{kind.collection}/{id_}"


@given(id_=ids, number=st.integers(1, 10**10 - 1))
def test_names_of_trials_survive_the_round_trip(id_: str, number: int) -> None:
    """Protects trials: each is a record under its study."""
    name = TrialName(id_, number)
    assert TrialName.from_name(name.name) == name
    assert name.name.startswith(f"{name.parent.trials}/")
    assert names.validate_name(name.name) == name.name


@given(text=near_names | st.from_regex(r"studies/.{0,9}/trials/.{0,9}"))
def test_other_texts_are_no_trials(text: str) -> None:
    """Protects object keys."""
    if re.fullmatch(rf"studies/{ID}/trials/[1-9][0-9]{{0,9}}", text, re.ASCII) is None:
        with pytest.raises(InvalidFieldError):
            TrialName.from_name(text)


@given(text=near_names)
def test_ids_are_what_the_pattern_says(text: str) -> None:
    """Protects object keys: nothing but the documented ids passes."""
    if re.fullmatch(ID, text, re.ASCII):
        assert names.validate_id(text, "x") == text
        return
    with pytest.raises(InvalidFieldError) as raised:
        names.validate_id(text, "training_run_id")
    assert raised.value.violations[0].field == "training_run_id"


@given(text=near_names | st.text(), prefix=st.sampled_from(["", "models/", "models/a/versions/"]))
def test_no_text_breaks_the_parsers(text: str, prefix: str) -> None:
    """Protects services from INTERNAL errors: a wrong name is an error that names its field."""
    for kind in (ModelName, ModelVersionName):
        try:
            assert kind.from_name(prefix + text).name == prefix + text
        except InvalidFieldError as error:
            assert error.violations[0].field == "name"
    try:
        checked = names.validate_name(prefix + text)
    except InvalidFieldError:
        return
    assert re.fullmatch(r"[A-Za-z0-9/-]+", checked)


@pytest.mark.parametrize(
    "text",
    [
        "models/a/versions/0",
        "models/a/versions/01",
        "models/a/versions/-1",
        "models/a/versions/1\n",
        "models/a/versions/2147483648",
        "models/a/versions/\u0661",
        "models/a/versions/",
        "models/a",
        "datasets/a/versions/1",
        "models/../versions/1",
    ],
)
def test_wrong_version_names_are_refused(text: str) -> None:
    """Protects against two spellings of one version, and numbers beyond the field's range."""
    with pytest.raises(InvalidFieldError):
        ModelVersionName.from_name(text)


def test_names_cannot_be_made_of_unchecked_ids() -> None:
    """Protects keys also where code builds a name itself."""
    with pytest.raises(InvalidFieldError):
        UploadName("../records")
    with pytest.raises(InvalidFieldError):
        ModelVersionName("a", 0)


@pytest.mark.parametrize("text", ["", "datasets/", "datasets/a/versions/1", "a b", "../x", "a//b"])
def test_wrong_collections_are_refused(text: str) -> None:
    """Protects lists from prefixes that nobody checked."""
    with pytest.raises(InvalidFieldError):
        names.validate_collection(text)


def test_new_ids_are_ids_and_differ() -> None:
    """Protects server-made ids."""
    made = {names.new_id("train") for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"train-[a-z2-7]{10}", id_) for id_ in made)
