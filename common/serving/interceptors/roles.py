"""The one table that says which role each method needs."""

from common.identity import Caller, Role

# Answered without a token: probes of the platform have none.
OPEN = ("/grpc.health.v1.Health/",)

_INCLUDES = {
    Role.VIEWER: {Role.VIEWER},
    Role.EDITOR: {Role.VIEWER, Role.EDITOR},
    Role.ADMIN: {Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.AGENT},
    Role.AGENT: {Role.AGENT},
    Role.SERVICE: {Role.VIEWER, Role.EDITOR, Role.AGENT},
}

_VIEWER = (
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/aimass.analyzer.v1.AnalyzerService/GetAnalysis",
    "/aimass.analyzer.v1.AnalyzerService/GetAnalysisResults",
    "/aimass.analyzer.v1.AnalyzerService/ListAnalyses",
    "/aimass.analyzer.v1.AnalyzerService/WatchAnalysis",
    "/aimass.catalog.v1.DatasetService/DiffDatasetVersions",
    "/aimass.catalog.v1.DatasetService/GetDataset",
    "/aimass.catalog.v1.DatasetService/GetDatasetImport",
    "/aimass.catalog.v1.DatasetService/GetDatasetVersion",
    "/aimass.catalog.v1.DatasetService/ListDatasetImports",
    "/aimass.catalog.v1.DatasetService/ListDatasetVersions",
    "/aimass.catalog.v1.DatasetService/ListDatasets",
    "/aimass.catalog.v1.DatasetService/PreviewDataset",
    "/aimass.catalog.v1.DatasetService/WatchDatasetImport",
    "/aimass.catalog.v1.LineageService/Trace",
    "/aimass.catalog.v1.ModelService/GetModel",
    "/aimass.catalog.v1.ModelService/GetModelImport",
    "/aimass.catalog.v1.ModelService/GetModelVersion",
    "/aimass.catalog.v1.ModelService/ListModelImports",
    "/aimass.catalog.v1.ModelService/ListModelVersions",
    "/aimass.catalog.v1.ModelService/ListModels",
    "/aimass.catalog.v1.ModelService/WatchModelImport",
    "/aimass.catalog.v1.TransferService/CreateArtifactUrl",
    "/aimass.catalog.v1.TransferService/GetUpload",
    "/aimass.catalog.v1.TransferService/ReadArtifact",
    "/aimass.outlier.v1.OutlierService/GetOutlierScan",
    "/aimass.outlier.v1.OutlierService/GetOutlierStream",
    "/aimass.outlier.v1.OutlierService/ListAnomalies",
    "/aimass.outlier.v1.OutlierService/ListDetectors",
    "/aimass.outlier.v1.OutlierService/ListOutlierFeedback",
    "/aimass.outlier.v1.OutlierService/ListOutlierScans",
    "/aimass.outlier.v1.OutlierService/ListOutlierStreams",
    "/aimass.outlier.v1.OutlierService/Score",
    "/aimass.outlier.v1.OutlierService/WatchOutlierScan",
    "/aimass.pruner.v1.PrunerService/GetPruningRun",
    "/aimass.pruner.v1.PrunerService/ListMethods",
    "/aimass.pruner.v1.PrunerService/ListPoints",
    "/aimass.pruner.v1.PrunerService/ListPruningRuns",
    "/aimass.pruner.v1.PrunerService/WatchPruningRun",
    "/aimass.trainer.v1.TrainingService/GetTrainingRun",
    "/aimass.trainer.v1.TrainingService/ListAgents",
    "/aimass.trainer.v1.TrainingService/ListTrainingRuns",
    "/aimass.trainer.v1.TrainingService/WatchTrainingRun",
    "/aimass.tuner.v1.PolicyService/GetTuningPolicy",
    "/aimass.tuner.v1.PolicyService/ListTuningDecisions",
    "/aimass.tuner.v1.PolicyService/ListTuningPolicies",
    "/aimass.tuner.v1.StudyService/GetStudy",
    "/aimass.tuner.v1.StudyService/GetTrial",
    "/aimass.tuner.v1.StudyService/ListBestTrials",
    "/aimass.tuner.v1.StudyService/ListStudies",
    "/aimass.tuner.v1.StudyService/ListTrials",
    "/aimass.tuner.v1.TunerService/GetTuningRun",
    "/aimass.tuner.v1.TunerService/ListCandidates",
    "/aimass.tuner.v1.TunerService/ListFamilies",
    "/aimass.tuner.v1.TunerService/ListPortfolio",
    "/aimass.tuner.v1.TunerService/ListTuningRuns",
    "/aimass.tuner.v1.TunerService/WatchTuningRun",
)

_EDITOR = (
    "/aimass.analyzer.v1.AnalyzerService/CancelAnalysis",
    "/aimass.analyzer.v1.AnalyzerService/CompareModels",
    "/aimass.analyzer.v1.AnalyzerService/CreateAnalysis",
    "/aimass.analyzer.v1.AnalyzerService/DeleteAnalysis",
    "/aimass.catalog.v1.DatasetService/CancelDatasetImport",
    "/aimass.catalog.v1.DatasetService/CreateDatasetImport",
    "/aimass.catalog.v1.DatasetService/DeleteDatasetImport",
    "/aimass.catalog.v1.DatasetService/DeleteDatasetVersion",
    "/aimass.catalog.v1.ModelService/CancelModelImport",
    "/aimass.catalog.v1.ModelService/CreateModelImport",
    "/aimass.catalog.v1.ModelService/CreateModelVersion",
    "/aimass.catalog.v1.ModelService/DeleteModelAlias",
    "/aimass.catalog.v1.ModelService/DeleteModelImport",
    "/aimass.catalog.v1.ModelService/DeleteModelVersion",
    "/aimass.catalog.v1.ModelService/SetModelAlias",
    "/aimass.catalog.v1.ModelService/UpdateModelVersion",
    "/aimass.catalog.v1.TransferService/WriteUpload",
    "/aimass.outlier.v1.OutlierService/CancelOutlierScan",
    "/aimass.outlier.v1.OutlierService/CreateOutlierScan",
    "/aimass.outlier.v1.OutlierService/DeleteOutlierFeedback",
    "/aimass.outlier.v1.OutlierService/DeleteOutlierScan",
    "/aimass.outlier.v1.OutlierService/DeleteOutlierStream",
    "/aimass.outlier.v1.OutlierService/ReportFeedback",
    "/aimass.outlier.v1.OutlierService/ScoreStream",
    "/aimass.pruner.v1.PrunerService/ApplyPoint",
    "/aimass.pruner.v1.PrunerService/CancelPruningRun",
    "/aimass.pruner.v1.PrunerService/CreatePruningRun",
    "/aimass.pruner.v1.PrunerService/DeletePruningRun",
    "/aimass.trainer.v1.TrainingService/CancelTrainingRun",
    "/aimass.trainer.v1.TrainingService/CreateTrainingRun",
    "/aimass.trainer.v1.TrainingService/DeleteTrainingRun",
    "/aimass.tuner.v1.PolicyService/CreateTuningPolicy",
    "/aimass.tuner.v1.PolicyService/DeleteTuningPolicy",
    "/aimass.tuner.v1.PolicyService/RunTuningPolicy",
    "/aimass.tuner.v1.PolicyService/UpdateTuningPolicy",
    "/aimass.tuner.v1.StudyService/AskTrials",
    "/aimass.tuner.v1.StudyService/CreateStudy",
    "/aimass.tuner.v1.StudyService/DeleteStudy",
    "/aimass.tuner.v1.StudyService/ReportTrial",
    "/aimass.tuner.v1.StudyService/TellTrial",
    "/aimass.tuner.v1.TunerService/CancelTuningRun",
    "/aimass.tuner.v1.TunerService/CreateTuningRun",
    "/aimass.tuner.v1.TunerService/DeleteTuningRun",
)

_CHANNELZ = tuple(
    f"/grpc.channelz.v1.Channelz/{method}"
    for method in (
        "GetTopChannels",
        "GetServers",
        "GetServer",
        "GetServerSockets",
        "GetChannel",
        "GetSubchannel",
        "GetSocket",
    )
)

_ADMIN = (
    "/aimass.maintenance.v1.MaintenanceService/Sweep",
    "/aimass.trainer.v1.TrainingService/InjectFault",
    *_CHANNELZ,
)

_AGENT = (
    "/aimass.trainer.v1.AgentPoolService/Join",
    "/aimass.trainer.v1.AgentPoolService/Recruit",
    "/aimass.trainer.v1.WorkerControlService/Attach",
)

REQUIRED = {
    **dict.fromkeys(_VIEWER, Role.VIEWER),
    **dict.fromkeys(_EDITOR, Role.EDITOR),
    **dict.fromkeys(_ADMIN, Role.ADMIN),
    **dict.fromkeys(_AGENT, Role.AGENT),
}


def required_role(method: str) -> Role | None:
    """Returns the role a method needs; None for a method that is not in the table: nobody may."""
    return REQUIRED.get(method)


def allows(role: Role, needed: Role) -> bool:
    """Whether a role includes another."""
    return needed in _INCLUDES[role]


def allows_caller(found: Caller, needed: Role) -> bool:
    """Whether a caller may do what needs a role.

    Who is not allowed something is not allowed it by way of a service either. Keeping workers is
    the service's own business, whoever the run is for.
    """
    if not found.service:
        return allows(found.role, needed)
    is_for_caller = needed is not Role.AGENT
    return allows(Role.SERVICE, needed) and (not is_for_caller or allows(found.role, needed))
