"""Versions whose outputs are given, so that what is to be found is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from common.data.rows import Values
from common.data.schema import Task
from common.reports.report import Section
from services.analyzer.domain.comparison.comparison import ComparisonFindings, compare
from services.analyzer.domain.comparison.page import show_comparison
from services.analyzer.domain.metrics import METRICS, Metric
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.part import PartName
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.settings import AnalysisSettings
from services.analyzer.domain.subject import Subject
from tests.unit.analyzer.behaviour_support import noise_sample, subject_giving

ALL = tuple(PartName)


def numbered(subjects: Sequence[Subject]) -> list[Subject]:
    """Returns subjects as versions 1, 2 and so on of one model, on the rows of the first."""
    first = subjects[0]
    return [
        replace(each, name=f"models/tried/versions/{place}", sample=first.sample)
        for place, each in enumerate(subjects, 1)
    ]


def giving(
    outputs: Sequence[Outputs],
    truth: Values | None,
    task: Task = Task.CLASSIFICATION,
    metric: Metric | None = None,
    sample: Sample | None = None,
    gives_probabilities: bool = True,
) -> list[Subject]:
    """Returns versions that give these outputs."""
    rows = sample or noise_sample(len(outputs[0]), 2)
    made = [
        subject_giving(each, truth, task, sample=rows, gives_probabilities=gives_probabilities)
        for each in outputs
    ]
    settings = AnalysisSettings(metric or METRICS[task][0])
    return numbered([replace(each, settings=settings) for each in made])


def sure(classes: Values, count: int, probability: float = 0.9) -> Outputs:
    """Returns probabilities of a model that is about sure of these classes."""
    outputs = np.full((len(classes), count), (1 - probability) / (count - 1))
    outputs[np.arange(len(classes)), classes.astype(np.int64)] = probability
    return outputs


def compared(
    subjects: Sequence[Subject],
    parts: Sequence[PartName] = (PartName.BEHAVIOUR,),
    seconds: float = 20,
    budgets: Mapping[PartName, float | None] | None = None,
) -> ComparisonFindings:
    """Returns what a comparison of the parts finds."""
    wanted = budgets or dict.fromkeys(parts)
    return compare(subjects, wanted, seconds, lambda *_: None, lambda: None)


def with_weights(
    package: TorchPackage, folder: Path, changes: Mapping[str, torch.Tensor]
) -> TorchPackage:
    """Returns a package in which some tensors are others; shapes must not change."""
    tensors = {name: each.clone() for name, each in package.network.state_dict().items()}
    path = folder / "changed.safetensors"
    safetensors.torch.save_file(tensors | dict(changes), path)

    def load() -> torch.nn.Module:
        network = package._load()
        network.load_state_dict(safetensors.torch.load_file(path))
        return network

    return TorchPackage(package.specification, package.preprocessing, path, load)


def shown(found: ComparisonFindings) -> list[Section]:
    """Returns the sections of a report; all of them can be shown."""
    sections = show_comparison(found)
    hidden = [note for each in found.outcomes for note in each.notes if "cannot be shown" in note]
    assert not hidden
    return sections
