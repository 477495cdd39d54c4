"""References to files of the store in specifications."""

from pydantic import BaseModel, ConfigDict

from aimass.type.v1 import artifact_pb2


class ArtifactReference(BaseModel):
    """Where a file of the suite's store lies; see `aimass.type.v1.ArtifactRef`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = ""
    sha256: str = ""
    size_bytes: int = 0
    media_type: str = ""

    @property
    def artifact(self) -> artifact_pb2.ArtifactRef:
        """The message."""
        return artifact_pb2.ArtifactRef(**self.model_dump())
