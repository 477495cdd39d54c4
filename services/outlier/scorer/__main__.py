"""A scorer: `python -m services.outlier.scorer` answers the service's questions.

The service itself carries neither numpy nor scikit-learn.
"""

from threadpoolctl import threadpool_limits

from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.host import helper
from common.records import RecordStore
from services.outlier.scorer.answering import Answering

if __name__ == "__main__":
    store = open_store(StoreSettings())
    with threadpool_limits(1):  # each scorer takes one processor; there are several of them
        helper.serve(Answering(store, RecordStore(store)).answer)
