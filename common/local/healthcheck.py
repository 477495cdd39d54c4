"""`python -m common.local.healthcheck [HOST:PORT]`: ends with 0 where a gRPC server says SERVING.

Without an address it asks the server that the environment describes, on this host.
"""

import asyncio
import sys

from common.config import ServerSettings
from common.local.readiness import serving_at


async def is_serving(address: str) -> bool:
    """Whether the gRPC server at `address` says SERVING."""
    # A check is told the process id of who should answer; here that may be anybody.
    return await serving_at(address)(0)


def main() -> int:
    """Asks once; returns the exit code of the process."""
    address = sys.argv[1] if len(sys.argv) > 1 else f"127.0.0.1:{ServerSettings().port}"
    return 0 if asyncio.run(is_serving(address)) else 1


if __name__ == "__main__":
    sys.exit(main())
