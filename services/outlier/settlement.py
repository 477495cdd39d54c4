"""What the first attempt at a scan settled, so that later ones come to the same result."""

import json
from contextlib import suppress
from dataclasses import asdict

from aimass.outlier.v1 import outlier_pb2
from common.artifacts.protocol import ObjectChangedError, ObjectMissingError
from common.runs.kind import run_prefix
from common.runs.owner import RunOwner
from services.outlier.domain.fitting import LeftOut, Settled


class Settlement:
    """Kept in the store beside the run's attempts."""

    def __init__(self, owner: RunOwner[outlier_pb2.OutlierScan]) -> None:
        """Belongs to a run."""
        self._owner = owner
        self._key = f"{run_prefix(owner.name)}settled.json"

    def read(self) -> Settled | None:
        """Returns what an earlier attempt settled; None where there was none."""
        try:
            plain = json.loads(self._owner.store.read(self._key)[0])
        except ObjectMissingError:
            return None
        left_out = tuple(LeftOut(**each) for each in plain["left_out"])
        return Settled(tuple(plain["members"]), left_out)

    def write(self, settled: Settled) -> None:
        """Settles, where no earlier attempt has.

        Raises:
            FencedError: The run may have been taken over.
        """
        self._owner.check()
        with suppress(ObjectChangedError):  # it is what that one settled
            self._owner.store.create(self._key, json.dumps(asdict(settled)).encode())
