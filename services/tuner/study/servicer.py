"""StudyService: check, convert, call, return."""

import asyncio
import math
import secrets

from google.protobuf import empty_pb2

from aimass.tuner.v1 import study_pb2, study_pb2_grpc
from common.errors import InvalidFieldError
from common.identity import caller
from common.names import StudyName, TrialName, new_id, validate_id
from common.records import RecordStore, RequestId
from common.records.objects import not_found
from common.runs.kind import check_labels
from services.tuner.study.convert import problem_of
from services.tuner.study.desks import Desks
from services.tuner.study.given import given_trials
from services.tuner.study.outcomes import Outcome, outcome_violations
from services.tuner.study.validation import raise_if, resolved_spec

_SERVICE = "/aimass.tuner.v1.StudyService"
_MOST_ASKED = 100
_MOST_TRIES = 2


class StudyServicer(study_pb2_grpc.StudyServiceServicer):
    """Studies as resources, and their trials.

    Args:
        records: The suite's resources.
        desks: The studies in use.
    """

    def __init__(self, records: RecordStore, desks: Desks) -> None:
        self._records = records
        self._desks = desks

    async def CreateStudy(
        self, request: study_pb2.CreateStudyRequest, context: object
    ) -> study_pb2.Study:
        """Checks the specification and stores the study with its first trials."""
        if not request.study.HasField("spec"):
            raise InvalidFieldError(
                "study.spec", "Is required; give `parameters` and `objectives`."
            )
        method = f"{_SERVICE}/CreateStudy"
        identity = RequestId.of(caller().subject, method, request.request_id, request)
        study = await asyncio.to_thread(_drafted, request)
        if request.validate_only:
            del study.initial_trials[:]
            return study
        study.name = study.name or StudyName(new_id("study")).name
        record = await asyncio.to_thread(self._records.create, study, request=identity)
        desk = await self._desks.current(StudyName.from_name(record.name))
        desk.prepare()
        return desk.study

    async def GetStudy(
        self, request: study_pb2.GetStudyRequest, context: object
    ) -> study_pb2.Study:
        """Returns a study with its trials by state."""
        desk = await self._desks.current(StudyName.from_name(request.name))
        study = study_pb2.Study()
        study.CopyFrom(desk.study)
        study.trial_counts.CopyFrom(await desk.counts())
        return study

    async def ListStudies(
        self, request: study_pb2.ListStudiesRequest, context: object
    ) -> study_pb2.ListStudiesResponse:
        """Returns a page of studies."""
        page = await asyncio.to_thread(
            self._records.list,
            StudyName.collection,
            study_pb2.Study,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
            summary=_without_trials,
        )
        return study_pb2.ListStudiesResponse(
            studies=page.resources, next_page_token=page.next_page_token
        )

    async def DeleteStudy(
        self, request: study_pb2.DeleteStudyRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a study with its trials."""
        name = StudyName.from_name(request.name)
        folders = [f"records/{name.name}/", f"indexes/{name.name}/", f"{name.name}/"]
        await asyncio.to_thread(self._records.delete, name.name, study_pb2.Study, purge=folders)
        return empty_pb2.Empty()

    async def AskTrials(
        self, request: study_pb2.AskTrialsRequest, context: object
    ) -> study_pb2.AskTrialsResponse:
        """Gives trials out."""
        name = StudyName.from_name(request.parent, "parent")
        if not 0 <= request.count <= _MOST_ASKED:
            raise InvalidFieldError(
                "count", f"must be 1 to {_MOST_ASKED}, or 0 for one; it is {request.count}"
            )
        method = f"{_SERVICE}/AskTrials"
        identity = RequestId.of(caller().subject, method, request.request_id, request)
        for _ in range(_MOST_TRIES):
            desk = await self._desks.opened(name)
            trials = await desk.ask(request.count or 1, identity)
            if not await self._desks.keeps(desk, trials):
                continue
            response = study_pb2.AskTrialsResponse(trials=trials)
            if not trials:
                wait = await desk.outlook()
                response.done = wait is None
                response.retry_after.FromNanoseconds(round((wait or 0) * 1e9))
            return response
        raise not_found(name.name)

    async def ReportTrial(
        self, request: study_pb2.ReportTrialRequest, context: object
    ) -> study_pb2.ReportTrialResponse:
        """Takes an intermediate value."""
        name = TrialName.from_name(request.name)
        _check_report(request)
        desk = await self._desks.opened(name.parent)
        value = request.value if request.HasField("value") else None
        trial, should_stop = await desk.report(name, request.step, value, request.attempt)
        return study_pb2.ReportTrialResponse(
            should_stop=should_stop, lease_expire_time=trial.lease_expire_time
        )

    async def TellTrial(
        self, request: study_pb2.TellTrialRequest, context: object
    ) -> study_pb2.Trial:
        """Takes what came of a trial."""
        name = TrialName.from_name(request.name)
        desk = await self._desks.opened(name.parent)
        outcome = Outcome(dict(request.values), request.failure, request.pruned, request.cost)
        raise_if(list(outcome_violations(desk.problem, outcome)))
        return await desk.tell(name, outcome, request.attempt)

    async def GetTrial(
        self, request: study_pb2.GetTrialRequest, context: object
    ) -> study_pb2.Trial:
        """Returns a trial."""
        name = TrialName.from_name(request.name)
        record = await asyncio.to_thread(self._records.get, name.name, study_pb2.Trial)
        return record.resource

    async def ListTrials(
        self, request: study_pb2.ListTrialsRequest, context: object
    ) -> study_pb2.ListTrialsResponse:
        """Returns a page of trials."""
        name = StudyName.from_name(request.parent, "parent")
        await self._desks.current(name)
        page = await asyncio.to_thread(
            self._records.list,
            name.trials,
            study_pb2.Trial,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return study_pb2.ListTrialsResponse(
            trials=page.resources, next_page_token=page.next_page_token
        )

    async def ListBestTrials(
        self, request: study_pb2.ListBestTrialsRequest, context: object
    ) -> study_pb2.ListBestTrialsResponse:
        """Returns the best trials."""
        desk = await self._desks.current(StudyName.from_name(request.parent, "parent"))
        return study_pb2.ListBestTrialsResponse(trials=await desk.best())


def _drafted(request: study_pb2.CreateStudyRequest) -> study_pb2.Study:
    """Returns what a request asks for; without a name where the server makes one."""
    check_labels(request.study.labels, "study.labels")
    name = ""
    if request.study_id:
        name = StudyName(validate_id(request.study_id, "study_id")).name
    spec = resolved_spec(request.study.spec)
    study = study_pb2.Study(name=name, spec=spec, labels=request.study.labels)
    study.initial_trials.extend(given_trials(problem_of(spec), request.initial_trials))
    study.told_trial_count = sum(
        trial.state != study_pb2.TRIAL_STATE_WAITING for trial in study.initial_trials
    )
    study.create_time.GetCurrentTime()
    study.uid = secrets.token_hex(8)
    return study


def _without_trials(study: study_pb2.Study) -> study_pb2.Study:
    del study.initial_trials[:]
    return study


def _check_report(request: study_pb2.ReportTrialRequest) -> None:
    if request.step < 0:
        raise InvalidFieldError("step", f"must be 0 or more, not {request.step}; count from 0")
    if math.isinf(request.value):
        raise InvalidFieldError(
            "value", f"must be finite, not {request.value}; give NaN where the trial has diverged"
        )
