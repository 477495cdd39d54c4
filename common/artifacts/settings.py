"""Where the object store is."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.config import Settings


class StoreSettings(Settings):
    """The object store: any that speaks S3 and honours conditional writes."""

    model_config = SettingsConfigDict(env_prefix="AIMASS_S3_", frozen=True, extra="ignore")

    endpoint: str = Field("127.0.0.1:7702", description="host:port of the store.")
    public_url: str = Field(
        "",
        description="Where clients see the store, for example `https://files.example.com`, in "
        "addresses to download from; default: the endpoint.",
    )
    access_key: str = Field("", description="Name to sign with.")
    secret_key: str = Field("", description="Secret to sign with.", repr=False)
    bucket: str = Field("aimass", description="Bucket that holds everything; it must exist.")
    secure: bool = Field(False, description="Whether to use TLS.")
    region: str = Field("us-east-1", description="Region to sign for.")
