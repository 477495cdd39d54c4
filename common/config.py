"""Settings from the environment, shared by all processes."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from common.services import usual_address

SECRETS_DIR_VARIABLE = "AIMASS_SECRETS_DIR"


class Settings(BaseSettings):
    """Base of all settings: `AIMASS_<FIELD>` in the environment, typed and documented.

    What the environment does not give is looked for in the folder that `AIMASS_SECRETS_DIR` names:
    a file per setting, `aimass_<field>`, as container platforms mount secrets.
    """

    model_config = SettingsConfigDict(env_prefix="AIMASS_", frozen=True, extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns where settings come from, the first that has one wins."""
        folder = os.environ.get(SECRETS_DIR_VARIABLE)
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=folder)
        return init_settings, env_settings, secrets


class JwtSettings(Settings):
    """Whose JSON web tokens are accepted beside those of the token file."""

    jwt_issuer: str = Field(
        "", description="Issuer (`iss`) whose tokens are accepted; empty for none."
    )
    jwt_audience: str = Field("", description="Audience (`aud`) that its tokens must be for.")
    jwt_jwks: str = Field("", description="Its keys: https:// URL or file of a JWKS document.")
    jwt_role_claim: str = Field(
        "aimass_role",
        description="Claim with the role, or a list with it; a path such as `realm_access.roles`.",
    )
    jwt_leeway_seconds: float = Field(
        30.0, ge=0, le=300, description="How far the issuer's clock may be off."
    )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        given = (self.jwt_issuer, self.jwt_audience, self.jwt_jwks)
        if any(given) and not all(given):
            raise ValueError("set AIMASS_JWT_ISSUER, AIMASS_JWT_AUDIENCE and AIMASS_JWT_JWKS, all")
        return self


class ServerSettings(JwtSettings):
    """What every gRPC server of the suite needs to know."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    token_file: Path | None = Field(
        None, description="JSON file of the tokens that are accepted; without it nobody gets in."
    )
    drain_seconds: float = Field(
        5.0, ge=0, description="How long calls may go on after SIGTERM before they are cut."
    )
    reflection: bool = Field(True, description="Whether grpcurl may list and describe services.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port that Prometheus reads metrics from; off without."
    )
    channelz: bool = Field(
        False, description="Whether admins may look at channels and sockets by channelz."
    )


class ClientSettings(Settings):
    """How to reach the other services."""

    catalog_address: str = Field(usual_address("catalog"), description="host:port of the catalog.")
    trainer_address: str = Field(usual_address("trainer"), description="host:port of the trainer.")
    outlier_address: str = Field(
        usual_address("outlier"), description="host:port of the outlier service."
    )
    analyzer_address: str = Field(
        usual_address("analyzer"), description="host:port of the analyzer."
    )
    tuner_address: str = Field(usual_address("tuner"), description="host:port of the tuner.")
    pruner_address: str = Field(usual_address("pruner"), description="host:port of the pruner.")
    token: str = Field("", description="Bearer token that this process shows.", repr=False)
