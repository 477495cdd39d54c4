"""Chooses trials: `python -m services.tuner.study.suggester` answers the service's questions."""

from common import helper
from services.tuner.domain.study.suggesting import warmed
from services.tuner.study.suggester.answering import Answering

if __name__ == "__main__":
    warmed()
    helper.serve(Answering().answer)
