"""What own searches have found is kept, listed and forgotten; broken records cost nothing."""

from datetime import UTC, datetime
from typing import NoReturn

import pytest

from aimass.tuner.v1 import tuner_pb2
from common.artifacts.memory import MemoryStore
from common.artifacts.protocol import ObjectInfo
from common.errors import UnavailableError
from common.scoring.kinds import ProblemKind
from services.tuner import portfolio
from services.tuner.domain.portfolio.known_set import KnownScore, KnownSet
from services.tuner.domain.portfolio.shipped import shipped_sets
from services.tuner.domain.portfolio.use import PortfolioUse
from services.tuner.portfolio import OwnPortfolio
from services.tuner.portfolio_pages import PortfolioPages
from services.tuner.remembering import known_sets


def found(number: int = 0, scores: int = 2) -> KnownSet:
    """Returns what a search has found."""
    settings: dict[str, bool | int | float | str] = {
        "rate": 0.5,
        "depth": 3,
        "way": "x" * 60,
        "is_on": True,
    }
    return KnownSet(
        source=f"tuningRuns/t{number:03}",
        kind=ProblemKind.BINARY,
        metric="roc_auc",
        features={"log_rows": 5.5},
        scores=tuple(
            KnownScore(family="linear", settings=settings, regret=1 - place / scores, seconds=0.25)
            for place in range(scores)
        ),
    )


def sources(own: OwnPortfolio) -> list[str]:
    """Returns whose records there are, the newest first."""
    return [each.source for each in own.sets(seconds=10)]


def test_what_a_search_has_found_comes_back_as_it_was() -> None:
    own = OwnPortfolio(MemoryStore())
    own.add(found())
    assert own.sets(seconds=10) == [found()]


def test_of_many_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio, "MOST_SETS", 3)
    store = MemoryStore()
    own = OwnPortfolio(store)
    for number in range(5):
        own.add(found(number))
    assert sources(own) == ["tuningRuns/t004", "tuningRuns/t003", "tuningRuns/t002"]
    assert len(list(store.list("portfolio/"))) == 3


def test_a_record_goes_with_its_search() -> None:
    own = OwnPortfolio(MemoryStore())
    own.add(found(1))
    own.add(found(2))
    own.forget("tuningRuns/t001")
    assert sources(own) == ["tuningRuns/t002"]


def test_broken_and_foreign_records_are_passed_over() -> None:
    store = MemoryStore()
    own = OwnPortfolio(store)
    own.add(found(7))
    good = store.read("portfolio/t007.json")[0]
    store.write("portfolio/a.json", b"\x00\xff")
    store.write("portfolio/b.json", good.replace(b"roc_auc", b"x" * 500))
    store.write("portfolio/c.json", good.replace(b"5.5", b"NaN"))
    store.write("portfolio/d.json", good)  # Somebody has copied it.
    store.write("portfolio/e.json", b"[" * 300_000)
    store.write("portfolio/f/g.json", b"{}")
    assert sources(own) == ["tuningRuns/t007"]


def test_a_store_that_is_away_costs_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(store: MemoryStore, prefix: str) -> NoReturn:
        raise UnavailableError("The store is away.")

    monkeypatch.setattr(MemoryStore, "list", away)
    assert known_sets(PortfolioUse.ALL, MemoryStore(), 60.0) == list(shipped_sets())


def test_what_may_be_known_is_as_told() -> None:
    store = MemoryStore()
    OwnPortfolio(store).add(found())
    assert known_sets(PortfolioUse.NONE, store, 60.0) is None
    assert known_sets(PortfolioUse.SHIPPED, store, 60.0) == list(shipped_sets())
    assert known_sets(PortfolioUse.ALL, store, 60.0) == [*shipped_sets(), found()]


def test_pages_hold_own_records_first_then_what_ships() -> None:
    store = MemoryStore()
    own = OwnPortfolio(store)
    for number in range(3):
        own.add(found(number))
    store.write("portfolio/broken.json", b"{")
    pages, listed, token = PortfolioPages(own), list[str](), ""
    while True:
        page = pages.page(tuner_pb2.ListPortfolioRequest(page_size=2, page_token=token))
        listed += [each.source for each in page.entries]
        token = page.next_page_token
        if not token:
            break
    shipped = [each.source for each in shipped_sets()]
    assert listed == ["tuningRuns/t002", "tuningRuns/t001", "tuningRuns/t000", *shipped]


def test_a_page_fits_into_a_message() -> None:
    own = OwnPortfolio(MemoryStore())
    for number in range(150):
        own.add(found(number, scores=200))
    page = PortfolioPages(own).page(tuner_pb2.ListPortfolioRequest(page_size=1000))
    assert page.next_page_token and 0 < page.ByteSize() < 4 << 20


def test_an_entry_tells_the_best_first() -> None:
    own = OwnPortfolio(MemoryStore())
    own.add(found())
    page = PortfolioPages(own).page(tuner_pb2.ListPortfolioRequest())
    scores = page.entries[0].scores
    assert [each.regret for each in scores] == [0.5, 1.0]
    assert scores[0].settings["depth"].integer == 3
    assert scores[0].settings["is_on"].flag and scores[0].settings["rate"].number == 0.5
    assert scores[0].duration.ToMilliseconds() == 250


def info(key: str) -> ObjectInfo:
    """Returns what is known of an object."""
    return ObjectInfo(key, "e", 1, datetime.now(UTC), datetime.now(UTC))


def test_a_record_that_is_gone_meanwhile_is_passed_over() -> None:
    assert OwnPortfolio(MemoryStore()).read([info("portfolio/gone.json")]) == [None]
