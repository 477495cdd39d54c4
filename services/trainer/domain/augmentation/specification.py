"""How training rows are changed at random: ranges, defaults, what goes with which data."""

from collections.abc import Iterator

from pydantic import Field, model_validator

from common.errors import InvalidFieldError
from common.models.preprocessing import Task
from common.networks.specification import NetworkInput, Specification
from services.trainer.domain.augmentation.policies import (
    DATA,
    HALF,
    KINDS,
    MOVING,
    Affine,
    Border,
    CategoryDropout,
    CharacterNoise,
    Color,
    Crop,
    CutMix,
    Data,
    Erasing,
    Flip,
    Interpolation,
    Jitter,
    Mixup,
    Noise,
    Permutation,
    RandAugment,
    Scaling,
    Synonyms,
    TimeWarp,
    WindowSlice,
    WordDeletion,
    WordSwap,
)
from services.trainer.domain.loss import Problem

DEFAULT_CROP_SHARE = 8
"""The default padding of a crop is the shorter side divided by this."""
DEFAULT_SATURATION = 0.2
DEFAULT_HUE = 0.02


class Policy(Specification):
    """One way of changing rows, of one kind."""

    probability: float | None = Field(None, gt=0, le=1)
    flip: Flip | None = None
    crop: Crop | None = None
    affine: Affine | None = None
    color: Color | None = None
    erasing: Erasing | None = None
    rand_augment: RandAugment | None = None
    mixup: Mixup | None = None
    cut_mix: CutMix | None = None
    noise: Noise | None = None
    interpolation: Interpolation | None = None
    category_dropout: CategoryDropout | None = None
    jitter: Jitter | None = None
    scaling: Scaling | None = None
    time_warp: TimeWarp | None = None
    window_slice: WindowSlice | None = None
    permutation: Permutation | None = None
    character_noise: CharacterNoise | None = None
    word_swap: WordSwap | None = None
    word_deletion: WordDeletion | None = None
    synonyms: Synonyms | None = None

    @model_validator(mode="after")
    def _has_one_kind(self) -> "Policy":
        if len(self._given_kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS[:-1])} and {KINDS[-1]}")
        return self

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self._given_kinds[0]

    @property
    def settings(self) -> Specification:
        """What the policy is told."""
        found: Specification = getattr(self, self.kind)
        return found

    @property
    def share(self) -> float:
        """Share of the rows that it changes."""
        if self.probability is not None:
            return self.probability
        return 0.5 if self.kind in HALF else 1.0

    @property
    def _given_kinds(self) -> list[str]:
        return [kind for kind in KINDS if getattr(self, kind) is not None]


class Augmentation(Specification):
    """An `AugmentationSpec`."""

    auto: bool = False
    policies: tuple[Policy, ...] = Field((), max_length=32)
    border: Border = "edge"


def augmentation_problems(
    augmentation: Augmentation | None, *, is_script: bool
) -> Iterator[Problem]:
    """Yields what is wrong whatever the data.

    Args:
        augmentation: What the caller asked for.
        is_script: Whether the training is code of the caller's own.
    """
    if augmentation is None:
        return
    if is_script:
        yield "augmentation", "Code of your own gets rows as they are; leave it out."
    if augmentation.auto and augmentation.policies:
        text = "Chooses the policies; leave one of the two out."
        yield "augmentation.auto", f"Not with `policies`: {text}"


def resolved_augmentation(
    augmentation: Augmentation | None,
    network_input: NetworkInput,
    task: Task,
    field: str,
) -> Augmentation | None:
    """Chooses policies where that is left open, and fills in what depends on the data.

    Args:
        augmentation: What the caller asked for.
        network_input: What the data gives.
        task: The run's.
        field: Path of the augmentation in the request.

    Returns:
        None where nothing is changed, however that was asked for.

    Raises:
        InvalidFieldError: A policy does not fit the data.
    """
    if augmentation is None:
        return None
    policies = augmentation.policies
    if augmentation.auto:
        policies = automatic_policies(network_input)
    resolved = tuple(
        _resolved(policy, network_input, task, f"{field}.policies[{index}]")
        for index, policy in enumerate(policies)
    )
    if not resolved:
        return None
    return augmentation.model_copy(update={"auto": False, "policies": resolved})


def automatic_policies(network_input: NetworkInput) -> tuple[Policy, ...]:
    """Returns what helped data of a type more often than not; see services/trainer/TASKS.md.

    Flips are never among them: nothing says whether a mirrored image still is of its class.
    """
    names = network_input.names
    if "image" in names:
        is_colored = network_input.image_shape[0] == 3
        return (Policy(affine=Affine()), *([Policy(color=Color())] if is_colored else []))
    if "tokens" in names:
        return (Policy(character_noise=CharacterNoise()),)
    if "series" in names:
        return (Policy(jitter=Jitter()),)
    if "numeric" in names:
        return (Policy(mixup=Mixup()),)
    return ()


def _resolved(
    policy: Policy,
    network_input: NetworkInput,
    task: Task,
    path: str,
) -> Policy:
    field = f"{path}.{policy.kind}"
    data = _data_of(network_input)
    if not data & DATA[policy.kind]:
        fitting = ", ".join(kind for kind in KINDS if data & DATA[kind])
        text = f"Does not change {' and '.join(sorted(data))}; use one of {fitting}."
        raise InvalidFieldError(field, text, reason="POLICY_DOES_NOT_FIT")
    _check_columns(policy, network_input, field)
    if policy.mixup is not None and policy.mixup.target_bandwidth and task != "regression":
        text = "Classes are not near each other; leave it out."
        raise InvalidFieldError(f"{field}.target_bandwidth", text)
    if policy.interpolation is not None and task == "multi_label":
        text = "Similar rows are looked for by one target; use mixup, or leave it out."
        raise InvalidFieldError(field, text)
    changes: dict[str, object] = {"probability": policy.share}
    if policy.crop is not None:
        changes["crop"] = _resolved_crop(policy.crop, network_input.image_shape, field)
    if policy.color is not None:
        changes["color"] = _resolved_color(policy.color, network_input.image_shape[0], field)
    return policy.model_copy(update=changes)


def _data_of(network_input: NetworkInput) -> frozenset[Data]:
    """Returns what there is to change."""
    types: dict[str, Data] = {
        "numeric": "tables",
        "categories": "tables",
        "image": "images",
        "tokens": "texts",
        "series": "series",
        "past": "series",
        "known": "series",
    }
    return frozenset(types[name] for name in network_input.names)


def _check_columns(policy: Policy, network_input: NetworkInput, field: str) -> None:
    """Refuses what would change nothing, or what cannot be changed."""
    if policy.kind == "mixup" and "tokens" in network_input.names:
        raise InvalidFieldError(field, "Texts cannot be blended; leave it out.")
    beside = network_input.past_columns + network_input.known_columns
    if policy.kind in MOVING and beside:
        text = "Moves a series away from the columns beside it; use jitter or scaling."
        raise InvalidFieldError(field, text, reason="POLICY_DOES_NOT_FIT")
    if policy.kind == "category_dropout" and not network_input.category_sizes:
        raise InvalidFieldError(field, "There is no categorical column; leave it out.")
    if policy.kind in ("noise", "interpolation") and not network_input.numeric_columns:
        raise InvalidFieldError(field, "There is no numeric column; leave it out.")


def _resolved_crop(crop: Crop, shape: tuple[int, ...], field: str) -> Crop:
    side = min(shape[1:])
    padding = crop.padding or max(1, side // DEFAULT_CROP_SHARE)
    if padding >= side:
        text = f"The images are only {side} wide or high; pad by less."
        raise InvalidFieldError(f"{field}.padding", text)
    return Crop(padding=padding)


def _resolved_color(color: Color, channels: int, field: str) -> Color:
    is_colored = channels == 3
    given = [name for name in ("saturation", "hue") if getattr(color, name)]
    if given and not is_colored:
        text = f"Images of {channels} channels have no colours; leave it out."
        raise InvalidFieldError(f"{field}.{given[0]}", text)
    usual = (DEFAULT_SATURATION, DEFAULT_HUE) if is_colored else (0.0, 0.0)
    return color.model_copy(
        update={
            "saturation": usual[0] if color.saturation is None else color.saturation,
            "hue": usual[1] if color.hue is None else color.hue,
        }
    )
