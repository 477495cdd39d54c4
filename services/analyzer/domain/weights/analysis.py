"""How the weights of a model are distributed, and what its layers matter."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.models.model import AnalysedModel
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.weights.findings import (
    WeightsFindings,
    WeightsSummary,
    WeightTensor,
)
from services.analyzer.domain.weights.forests import thresholds_of, tree_weights
from services.analyzer.domain.weights.sensitivity import Sensitivities, sensitivities
from services.analyzer.domain.weights.sources import Sources, sources_of
from services.analyzer.domain.weights.spectrum import spectrum_of, spectrum_seconds
from services.analyzer.domain.weights.statistics import NEAR_ZERO, measured
from services.analyzer.domain.weights.tensors import StoredTensor
from services.analyzer.domain.weights.units import duplicate_units

_MOST_TENSORS = 200
_FORESTS = "Trees have no weights: how they split stands in."


def analyse_weights(subject: Subject, budget: Budget) -> WeightsFindings:
    """Looks at the weights as they are stored, then disturbs them to see what they matter.

    Raises:
        NotApplicableError: The model has neither weights nor trees.
    """
    sources = sources_of(subject.model)
    if not sources.tensors and not sources.trees:
        raise NotApplicableError(f"{_kind_of(subject)} has neither weights nor trees.")
    cut = _Cut()
    tensors = [_looked_at(tensor, subject.settings.seed, budget, cut) for tensor in sources.tensors]
    disturbed = _sensitivities(subject, sources, budget)
    tensors = [
        replace(tensor, sensitivity=disturbed.by_tensor.get(tensor.name))
        for tensor in _in_order(subject.model, tensors)
    ]
    notes = (*_told(sources, tensors, cut), *disturbed.notes)
    thresholds = thresholds_of(sources.trees, sources.columns) if sources.trees else {}
    return WeightsFindings(_summary(sources, tensors, disturbed), notes, thresholds)


class _Cut:
    """What time did not allow for.

    Attributes:
        spectra: Matrices without singular values.
    """

    spectra = 0


def _looked_at(tensor: StoredTensor, seed: int, budget: Budget, cut: _Cut) -> WeightTensor:
    budget.check()
    held = tensor.held()
    found = measured(held)
    if not held.is_matrix or found.is_broken or not found.l2_norm:
        return found
    usual = found.l2_norm / tensor.count**0.5
    least = NEAR_ZERO * usual * tensor.columns**0.5
    found = replace(found, duplicate_units=duplicate_units(held, least, seed))
    if spectrum_seconds(held) > budget.left:
        cut.spectra += 1
        return found
    return replace(found, spectrum=spectrum_of(held, usual * tensor.count**0.5, seed))


def _sensitivities(subject: Subject, sources: Sources, budget: Budget) -> Sensitivities:
    if not sources.tensors:
        return Sensitivities(None, {}, ())
    return sensitivities(subject, sources, budget)


def _in_order(model: AnalysedModel, tensors: Sequence[WeightTensor]) -> Sequence[WeightTensor]:
    """Returns the tensors in the order of the network, where that is loaded: files sort by name."""
    network = vars(model).get("network")
    if not isinstance(model, TorchPackage) or network is None:
        return tensors
    order = {name: place for place, name in enumerate(network.state_dict())}
    return sorted(tensors, key=lambda tensor: order.get(tensor.name, len(order)))


def _summary(
    sources: Sources, tensors: Sequence[WeightTensor], disturbed: Sensitivities
) -> WeightsSummary:
    near = [(each.near_zero_share, each.count) for each in tensors]
    known = [(share * count, count) for share, count in near if share is not None]
    counted = sum(count for _, count in known)
    return WeightsSummary(
        tensor_count=len(tensors),
        tensors=tuple(_largest(tensors)),
        weight_count=sum(each.count for each in tensors),
        near_zero_share=sum(share for share, _ in known) / counted if counted else None,
        broken_tensors=tuple(each.name for each in tensors if each.is_broken)[:_MOST_TENSORS],
        dead_units=sum(each.dead_units or 0 for each in tensors),
        duplicate_units=sum(each.duplicate_units or 0 for each in tensors),
        sensitivity_method=disturbed.method,
        trees=tree_weights(sources.trees, sources.columns) if sources.trees else None,
    )


def _largest(tensors: Sequence[WeightTensor]) -> list[WeightTensor]:
    """Returns at most so many tensors as are told, the largest, in order."""
    sizes = sorted((each.count for each in tensors), reverse=True)
    if len(tensors) <= _MOST_TENSORS:
        return list(tensors)
    least = sizes[_MOST_TENSORS - 1]
    larger = [each for each in tensors if each.count > least]
    equal = [each for each in tensors if each.count == least][: _MOST_TENSORS - len(larger)]
    chosen = {each.name for each in (*larger, *equal)}
    return [each for each in tensors if each.name in chosen]


def _told(sources: Sources, tensors: Sequence[WeightTensor], cut: _Cut) -> Iterator[str]:
    yield from sources.notes
    if sources.trees:
        yield _FORESTS
    if len(tensors) > _MOST_TENSORS:
        yield f"Of {len(tensors):,} tensors the {_MOST_TENSORS} largest are listed."
    estimated = sum(each.spectrum is not None and each.spectrum.is_estimated for each in tensors)
    if estimated:
        yield f"The ranks of {estimated} large matrices are estimated."
    if cut.spectra:
        yield f"Time did not allow for the ranks of {cut.spectra} large matrices."
    if any(each.is_broken for each in tensors):
        yield "Tensors with values that are no numbers have statistics of the others alone."


def _kind_of(subject: Subject) -> str:
    if isinstance(subject.model, SklearnAnalysed):
        return type(subject.model.model.estimator).__name__
    return "The model"
