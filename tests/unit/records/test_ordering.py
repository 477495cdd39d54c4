"""Orders of lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimass.catalog.v1.model_pb2 import ModelVersion
from common.artifacts.memory import MemoryStore
from common.errors import InvalidFieldError
from common.records import RecordStore
from common.records.envelope import descriptor_of
from common.records.ordering import compile_order

COLLECTION = "models/m/versions"
LOSSES = (0.5, None, 0.25, 0.5, float("nan"), 0.125)


@pytest.fixture(scope="module")
def records() -> RecordStore:
    """Six versions; the newest has the largest number."""
    records = RecordStore(MemoryStore())
    for number, loss in enumerate(LOSSES, 1):
        version = ModelVersion(name=f"{COLLECTION}/{number}", parameter_count=number % 2)
        version.create_time.FromSeconds(number)
        if loss is not None:
            version.metrics["test/loss"] = loss
        records.create(version)
    return records


def numbers(records: RecordStore, order_by: str, size: int) -> str:
    """Returns the numbers of all versions, read page by page."""
    found, token = "", ""
    while True:
        page = records.list(
            COLLECTION, ModelVersion, order_by=order_by, page_size=size, page_token=token
        )
        found += "".join(version.name[-1] for version in page.resources)
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("size", [1, 2, 4, 50])
@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("", "654321"),
        ("create_time", "123456"),
        ("create_time desc", "654321"),
        ("name asc", "123456"),
        ("metrics.test/loss", "634152"),
        ("metrics.test/loss desc", "413652"),
        ("parameter_count desc, metrics.test/loss", "315642"),
        ("task, create_time", "123456"),
    ],
)
def test_orders_in_pages(records: RecordStore, order_by: str, expected: str, size: int) -> None:
    """Protects pages of ordered lists: nothing twice, nothing left out, absent values last."""
    assert numbers(records, order_by, size) == expected


@pytest.mark.parametrize(
    ("order_by", "complaint"),
    [
        ("colour", "no field of ModelVersion, which has name, task"),
        ("metrics", "is a map"),
        ("lineage", "has no order"),
        ("lineage.inputs", "has no order"),
        ("name down", "must be fields"),
        ("name,,task", "must be fields"),
        (",", "must be fields"),
        ("name,name,name,name,name,name", "at most 5"),
    ],
)
def test_what_is_refused(order_by: str, complaint: str) -> None:
    """Protects callers from an order that is silently another: the error says why."""
    with pytest.raises(InvalidFieldError, match=complaint) as raised:
        compile_order(order_by, descriptor_of(ModelVersion))
    assert raised.value.violations[0].field == "order_by"


def test_a_token_belongs_to_its_order(records: RecordStore) -> None:
    """Protects against pages of one order that go on in another."""
    token = records.list(COLLECTION, ModelVersion, order_by="name", page_size=1).next_page_token
    with pytest.raises(InvalidFieldError, match="page_token"):
        records.list(COLLECTION, ModelVersion, page_token=token)


@given(text=st.text() | st.text('name, desc"\\.metrics', max_size=40))
def test_no_text_breaks_the_compiler(text: str) -> None:
    """Protects services from INTERNAL errors: an order works or is refused."""
    try:
        order = compile_order(text, descriptor_of(ModelVersion))
    except InvalidFieldError:
        return
    if order is not None:
        order.key(ModelVersion())
