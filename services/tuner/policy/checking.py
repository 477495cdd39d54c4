"""Checks policies that callers bring, and fills in defaults."""

import math
import secrets

from aimass.tuner.v1 import policy_pb2, tuner_pb2
from common.errors import FieldViolation, InvalidFieldError, InvalidInputError
from common.names import LATEST, DatasetName, ModelName, validate_id
from common.runs.kind import check_labels
from services.tuner.domain.specification import FIELD as RUN_FIELD
from services.tuner.policy.looking import Lookout
from services.tuner.validation import Validator

FIELD = "tuning_policy"
_SPEC = f"{FIELD}.spec"
_ALIAS = "champion"
_OWN = ("dataset_version", "continue_from", "champion")


class PolicyCheck:
    """Resolves policies.

    Args:
        validator: Resolves the searches that they would begin.
        lookout: Knows the newest version of their data.
    """

    def __init__(self, validator: Validator, lookout: Lookout) -> None:
        self._validator = validator
        self._lookout = lookout

    async def resolved(self, given: policy_pb2.TuningPolicy) -> policy_pb2.TuningPolicy:
        """Returns a policy with defaults filled in, and nothing that is output only.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
        """
        if not given.dataset:
            raise InvalidFieldError(f"{FIELD}.dataset", "Is required: datasets/{dataset}.")
        dataset = DatasetName.from_name(given.dataset, f"{FIELD}.dataset")
        alias = validate_id(given.alias or _ALIAS, f"{FIELD}.alias")
        if alias == LATEST:
            raise InvalidFieldError(
                f"{FIELD}.alias", "must not be `latest`, which is the newest version."
            )
        check_labels(given.labels, f"{FIELD}.labels")
        policy = policy_pb2.TuningPolicy(
            dataset=dataset.name,
            spec=await self.spec(given.spec, dataset),
            triggers=checked_triggers(given.triggers),
            alias=alias,
            paused=given.paused,
            labels=given.labels,
            etag=new_etag(),
        )
        policy.create_time.GetCurrentTime()
        policy.update_time.CopyFrom(policy.create_time)
        policy.state.feedback_until.CopyFrom(policy.create_time)
        policy.state.uid = secrets.token_hex(4)
        return policy

    async def spec(self, given: tuner_pb2.TuningSpec, dataset: DatasetName) -> tuner_pb2.TuningSpec:
        """Returns what is searched for, tried on the newest version; the rest stays as it is."""
        for name in _OWN:
            if getattr(given, name):
                raise InvalidFieldError(
                    f"{_SPEC}.{name}", "must be left out: the policy sets it for each search."
                )
        if given.HasField("outliers"):
            raise InvalidFieldError(
                f"{_SPEC}.outliers",
                "must be left out: a scan is of one version of the data, and a policy searches in "
                "each new one.",
            )
        spec = tuner_pb2.TuningSpec()
        spec.CopyFrom(given)
        spec.model = spec.model or ModelName(dataset.id).name
        tried = tuner_pb2.TuningSpec()
        tried.CopyFrom(spec)
        version = await self._lookout.newest_version(dataset.name)
        if not version.split_counts.test:
            raise InvalidFieldError(
                f"{FIELD}.dataset",
                f"{version.name} has no test rows to compare models on; import it with a "
                "`test_fraction`.",
                reason="NO_TEST_ROWS",
            )
        tried.dataset_version = version.name
        try:
            resolved = (await self._validator.resolve(tried)).spec
        except InvalidInputError as error:
            raise _renamed(error) from None
        if resolved.kind == tuner_pb2.PROBLEM_KIND_FORECASTING:
            raise InvalidFieldError(
                f"{_SPEC}.kind", "Forecasts are not compared yet, so that no policy can decide."
            )
        return spec


def checked_triggers(given: policy_pb2.PolicyTriggers) -> policy_pb2.PolicyTriggers:
    """Returns what starts a search, with the default filled in.

    Raises:
        InvalidFieldError: A bound is out of range.
    """
    field = f"{FIELD}.triggers"
    if given.HasField("drift") and not (math.isfinite(given.drift) and given.drift > 0):
        raise InvalidFieldError(
            f"{field}.drift", f"must be a number above 0, not {given.drift}; 0.25 is much."
        )
    if given.HasField("feedback_rows") and given.feedback_rows < 1:
        raise InvalidFieldError(
            f"{field}.feedback_rows", f"must be at least 1, not {given.feedback_rows}."
        )
    triggers = policy_pb2.PolicyTriggers()
    triggers.CopyFrom(given)
    if not given.HasField("new_version"):
        has_bounds = given.HasField("drift") or given.HasField("feedback_rows")
        triggers.new_version = not has_bounds
    return triggers


def new_etag() -> str:
    """Returns an etag that no other state has."""
    return secrets.token_hex(8)


def _renamed(error: InvalidInputError) -> InvalidInputError:
    """Returns an error of a search as one of the policy's own fields."""
    violations = [
        FieldViolation(each.field.replace(RUN_FIELD, _SPEC, 1), each.description)
        for each in error.violations
    ]
    message = error.message.replace(RUN_FIELD, _SPEC, 1)
    return InvalidInputError(message, reason=error.reason, violations=violations)
