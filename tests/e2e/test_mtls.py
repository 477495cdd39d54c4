"""The whole suite with mutual TLS on every connection."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from aimass.outlier.v1 import outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.calls import client
from common.local.plan import SuiteOptions
from common.testing.certificates import Authority, environment
from common.testing.suite import running_suite
from common.tls import TlsFiles

pytestmark = pytest.mark.slow

GRPCURL = Path(sys.executable).with_name("grpcurl")


def test_the_suite_works_with_mutual_tls(tmp_path: Path) -> None:
    """Services, agents and run coordinators find each other by certificate, and nobody else does.

    Import, run and scan, their agents and the models' registration cross every kind of connection.
    """
    authority = Authority(tmp_path / "pki")
    files = replace(authority.issue("suite"), requires_client_cert=True)
    table = "a,b\n" + "\n".join(f"{row % 17},{row % 17 * 2}" for row in range(200))
    with running_suite(tmp_path / "home", SuiteOptions(agents=1), environment(files)) as suite:
        version = suite.import_dataset("secure", "secure.csv", table.encode())
        spec = trainer_pb2.TrainingSpec(
            dataset_version=version, model="models/secure", target="b", epochs=1
        )
        run = suite.train(spec)
        assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status
        assert run.model_version == "models/secure/versions/1"
        scan = suite.scan(outlier_pb2.OutlierScanSpec(dataset_version=version))
        assert scan.status.state == run_pb2.RUN_STATE_SUCCEEDED, scan.status
        assert scan.model_version == "models/secure-outliers/versions/1"
        bare = TlsFiles(ca_file=authority.path)
        with client.connect_sync(suite.state.addresses["trainer"], suite.token, bare) as channel:
            stub = suite.training.__class__(channel)
            with pytest.raises(grpc.RpcError):
                stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=run.name), timeout=3)
        listed = _grpcurl(files, suite.token, suite.state.addresses["trainer"], "list")
        assert "aimass.trainer.v1.TrainingService" in listed


def _grpcurl(files: TlsFiles, token: str, *arguments: str) -> str:
    command = [str(GRPCURL), "-cacert", str(files.ca_file), "-cert", str(files.cert_file)]
    command += ["-key", str(files.key_file), "-H", f"authorization: Bearer {token}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
