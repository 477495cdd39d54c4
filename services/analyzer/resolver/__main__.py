"""The resolver: `python -m services.analyzer.resolver` checks what the service is asked for.

The service itself carries neither torch nor scikit-learn.
"""

from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.host import helper
from services.analyzer.resolver.resolving import Resolving

if __name__ == "__main__":
    helper.serve(Resolving(open_store(StoreSettings())).answer)
