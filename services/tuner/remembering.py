"""What a search's process reads of what other searches have found, and adds to it."""

import logging

from common.artifacts import ObjectStore
from services.tuner.domain.portfolio.defaults import is_table
from services.tuner.domain.portfolio.found import known_set
from services.tuner.domain.portfolio.known_set import KnownSet
from services.tuner.domain.portfolio.shipped import shipped_sets
from services.tuner.domain.portfolio.use import PortfolioUse
from services.tuner.portfolio import OwnPortfolio
from services.tuner.summary import Result

_log = logging.getLogger(__name__)

_READ_SHARE, _LONGEST_READ = 0.02, 2.0


def known_sets(use: PortfolioUse, store: ObjectStore, seconds: float) -> list[KnownSet] | None:
    """Returns what a search may know of other data; None for nothing.

    What cannot be read is not known: it costs no search.

    Args:
        use: What it may know.
        store: Where own searches have left what they found.
        seconds: The budget, of which reading takes a small share.
    """
    if use is PortfolioUse.NONE:
        return None
    known = list(shipped_sets())
    if use is PortfolioUse.ALL:
        try:
            known += OwnPortfolio(store).sets(min(_READ_SHARE * seconds, _LONGEST_READ))
        except Exception:
            _log.warning("what own searches have found cannot be read", exc_info=True)
    return known


def remember(store: ObjectStore, run: str, result: Result) -> None:
    """Keeps what a search that went its way has found; where that fails it is as good without.

    Args:
        store: Where to.
        run: Name of the search.
        result: What came of it.
    """
    tuned = result.tuned
    # What is good on texts alone or on pictures says little of tables.
    if result.note or not is_table(tuned.problem):
        return
    try:
        OwnPortfolio(store).add(known_set(run, tuned.problem, tuned.metric.name, tuned.library))
    except Exception:
        _log.warning("what %s has found is not kept for others", run, exc_info=True)
