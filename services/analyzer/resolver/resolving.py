"""Resolves a specification with the models and the data that it names."""

from collections.abc import Sequence

from aimass.analyzer.v1 import analyzer_pb2, resolver_pb2
from aimass.catalog.v1 import model_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.schema import KnownDataset, SplitCounts
from common.errors import InvalidFieldError
from services.analyzer.convert import specification_from_proto, specification_to_proto
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.estimate import estimate
from services.analyzer.domain.layers import named_layers
from services.analyzer.domain.paths import Paths
from services.analyzer.domain.resolution import CheckedModel, resolve_against
from services.analyzer.opening import check_format, describe_model


class Resolving:
    """Answers the service's questions, see `ResolveAnalysis`."""

    def __init__(self, store: ObjectStore) -> None:
        """Reads models from a store."""
        self._store = store

    def answer(self, content: bytes) -> bytes:
        """Returns the resolved analysis.

        Raises:
            AimassError: What is wrong with the question.
        """
        question = resolver_pb2.ResolveAnalysis.FromString(content)
        if not question.model_versions:
            return b""  # it was asked only so that it starts
        return self._resolve(question).SerializeToString()

    def _resolve(self, question: resolver_pb2.ResolveAnalysis) -> analyzer_pb2.Analysis:
        paths = Paths(question.is_comparison)
        specification = specification_from_proto(question.spec, paths.spec)
        version = question.dataset_version
        counts = version.split_counts
        schema = schema_from_proto(version.schema)
        data = KnownDataset(
            version.name, schema, SplitCounts(counts.train, counts.validation, counts.test)
        )
        models = [
            self._checked(each, data, paths, place)
            for place, each in enumerate(question.model_versions)
        ]
        resolved = resolve_against(specification, models, data, paths)
        needs = estimate(resolved, models, data, _sizes(question.model_versions))
        analysis = analyzer_pb2.Analysis(spec=specification_to_proto(resolved))
        analysis.estimate.memory_bytes = needs.memory_bytes
        analysis.estimate.duration.FromNanoseconds(round(needs.seconds * 1e9))
        return analysis

    def _checked(
        self, version: model_pb2.ModelVersion, data: KnownDataset, paths: Paths, place: int
    ) -> CheckedModel:
        check_format(version, paths.model(place))
        try:
            opened = describe_model(self._store, version, data.schema)
        except UnusableModelError as error:
            raise InvalidFieldError(
                paths.of("dataset_version"),
                f"{version.name} cannot be used with {data.name}: {error}",
                reason="COLUMNS_DO_NOT_FIT",
            ) from None
        return CheckedModel(
            version.name,
            opened.model,
            opened.targets,
            lambda: [layer.name for layer in named_layers(opened.model)],
        )


def _sizes(versions: Sequence[model_pb2.ModelVersion]) -> list[int]:
    return [sum(ref.size_bytes for ref in each.artifacts.values()) for each in versions]
