"""Where the object store is."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator
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
    session_token: str = Field(
        "", description="Goes with temporary keys; empty for those of a user.", repr=False
    )
    bucket: str = Field("aimass", description="Bucket that holds everything; it must exist.")
    secure: bool = Field(False, description="Whether to use TLS.")
    region: str = Field("us-east-1", description="Region to sign for.")

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        # Signed is the path of the object, so nothing may stand before it.
        url = urlsplit(value)
        is_host = url.scheme in ("http", "https") and url.hostname and url.port != 0
        rest = url.path.removeprefix("/") + url.query + url.fragment
        if value and (not is_host or "@" in url.netloc or rest):
            raise ValueError("AIMASS_S3_PUBLIC_URL must be http(s)://host[:port] without a path")
        return value
