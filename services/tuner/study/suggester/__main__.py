"""Chooses trials: `python -m services.tuner.study.suggester` answers the service's questions."""

import threading

from common.host import helper
from services.tuner.domain.study.suggesting import warmed
from services.tuner.study.suggester.answering import Answering

if __name__ == "__main__":
    # The first trials of a study need nothing of what is compiled meanwhile.
    threading.Thread(target=warmed, daemon=True).start()
    helper.serve(Answering().answer)
