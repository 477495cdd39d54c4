"""The services that make up a suite. A service that is named here is started by `aimass up`."""

from collections.abc import Mapping
from types import MappingProxyType

SERVICE_PORTS: Mapping[str, int] = MappingProxyType(
    {
        "catalog": 7700,
        "trainer": 7701,
        "outlier": 7704,
        "analyzer": 7705,
        "tuner": 7706,
        "pruner": 7707,
    }
)
"""The usual port of each; a local suite takes the next free one where one is taken."""

ADDRESS_VARIABLES: Mapping[str, str] = MappingProxyType(
    {name: f"AIMASS_{name.upper()}_ADDRESS" for name in SERVICE_PORTS}
)
"""The environment variable that says where each one is."""


def usual_address(service: str) -> str:
    """Returns `host:port` of a service on this machine where nothing else is said."""
    return f"127.0.0.1:{SERVICE_PORTS[service]}"
