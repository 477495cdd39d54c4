"""What is known when a search begins: its own trials before it was killed, or another search's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.tuner.domain.search.library import Entry, Library
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.trials.trial import TrialResult


def _is_there(result: TrialResult) -> None:
    """Fetches nothing."""


@dataclass(frozen=True)
class Earlier:
    """What is known when a search begins; nothing by default.

    Attributes:
        parts: Into how many folds the rows were split; 0 where trials are not known.
        digest: See `Library.digest`.
        entries: Candidates with what their folds gave.
        first: Families with settings to try first.
        fetch: Brings the estimator of a trial to where `model_path` says.
    """

    parts: int = 0
    digest: str = ""
    entries: Sequence[Entry] = ()
    first: Sequence[tuple[str, Configuration]] = ()
    fetch: Callable[[TrialResult], None] = _is_there

    @property
    def has_model(self) -> bool:
        """Whether a model could be made of it without another trial."""
        return any(each.folds and each.has_models for each in self.entries)

    def fill(self, library: Library, families: Sequence[str], always: str = "") -> None:
        """Puts candidates into a library where they were judged on the same folds.

        Args:
            library: Without candidates.
            families: Names of the families that may be tried.
            always: Candidates of this origin are known whatever their family.
        """
        if library.digest != self.digest:
            return
        for each in self.entries:
            if each.candidate.family in families or each.origin == always:
                library.entries[each.candidate.number] = each
        library.prove()


NOTHING_EARLIER = Earlier()
