"""What the marks of an outlier scan were worth to a search, as it is told."""

from dataclasses import asdict, replace

from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.protobuf import from_plain
from common.reports.text import number
from common.scoring.metric import Metric
from common.scoring.outlier_uses import BASELINE, Comparison, UseResult
from services.tuner.convert import use_to_proto
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.tuning import Tuned


def outcome_of(scan: str, tuned: Tuned, problem: Problem) -> tuner_pb2.OutlierOutcome:
    """Returns what the marks of a scan were worth.

    Args:
        scan: Its name.
        tuned: What was found.
        problem: What was learned, with the marks of its rows.
    """
    library, metric = tuned.library, tuned.metric
    outcome = tuner_pb2.OutlierOutcome(
        scan=scan,
        adopted=use_to_proto(library.adopted),
        marked_count=0 if problem.marks is None else int(problem.marks.marked.sum()),
        share=_share(tuned),
        verdict=proof_words(library, metric),
    )
    if problem.marks is None or not problem.marks.tells:
        outcome.verdict = "The scan marks no row that was learned from: there was nothing to try."
    if library.adopted != BASELINE:
        outcome.verdict += f" {100 * outcome.share:.0f} % of the model has learned so."
    if library.proof is not None:
        outcome.candidate_count = library.proof.candidates
        plain = asdict(shown(library.proof.comparison, metric))
        outcome.comparison.CopyFrom(from_plain(plain, trainer_pb2.OutlierComparison))
    return outcome


def shown(comparison: Comparison, metric: Metric) -> Comparison:
    """Returns a comparison of losses as one of scores as the metric is known."""
    return replace(comparison, results=tuple(_shown(each, metric) for each in comparison.results))


def proof_words(library: Library, metric: Metric) -> str:
    """Returns what is proven of the marks, a sentence."""
    proof = library.proof
    if proof is None:
        return (
            "There was no time to try any candidate with the marks of the scan, so that no row has "
            "a weight for them: give the search a larger budget."
        )
    others = [each for each in proof.comparison.results if each.use != BASELINE]
    best = max(others, key=lambda each: (each.adopted, each.difference))
    interval = f"({number(best.lower_bound)} to {number(best.upper_bound)})"
    gain = f"the gain in {metric.name} is {number(best.difference)} {interval}"
    folds = "fold" if library.fold_count == 1 else "folds"
    tried = f"{_counted(proof.candidates)} on {library.fold_count} {folds}"
    told = f"For {tried} {gain} on rows that count as they are."
    use = best.use.upper()
    if best.adopted:
        return f"The scan's marks are used ({use}). {told}"
    return f"The scan's marks are not used: it is not proven that they help ({use}). {told}"


def _counted(candidates: int) -> str:
    return "one candidate" if candidates == 1 else f"the best {candidates} candidates"


def _shown(result: UseResult, metric: Metric) -> UseResult:
    return replace(
        result,
        scores=tuple(metric.shown(each) for each in result.scores),
        mean=metric.shown(result.mean),
    )


def _share(tuned: Tuned) -> float:
    """Returns the share of the search's own parts that have learned by the marks."""
    weights, entries = tuned.ensemble.weights, tuned.library.entries
    own = sum(
        weight
        for number, weight in weights.items()
        if entries[number].candidate.uses != frozenset((BASELINE,))
    )
    networks = 0.0 if tuned.joined is None else tuned.joined.share
    return own / sum(weights.values()) * (1 - networks)
