"""What scores mean: a common scale, p-values, probabilities, and from which score rows are marked.

Thresholds are the largest score that is not marked: rows above are.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.outlier.domain.detector import Scores

MOST_ORDER_STATISTICS = 4096
MOST_MEDCOUPLE_SCORES = 5_000

_LOWEST, _HIGHEST = -5.0, 10.0
_EXACT_TAIL = 1024
_BISECTIONS = 60
_MOST_PAIRS = 40_000

# Of usual scores a quarter lies above the third quartile, and 0.35 % above the boxplot's fence.
_ABOVE_QUARTILE, _ABOVE_FENCE, _FENCE = 0.25, 0.0035, 1.5
_DECAY = math.log(_ABOVE_QUARTILE / _ABOVE_FENCE) / _FENCE
_RARE = 0.05

# Anomalies skew scores too, and with more than this would hide behind the correction for it: on
# labelled sets a fence at the full medcouple finds 5 to 30 times fewer of 3 to 8 % anomalies.
_MOST_SKEWNESS = 0.25

# How many times more usual rows than the tail tells there may be: tails differ, and a claim that a
# row is an anomaly must not rest on that. On ADBench, 2 makes probabilities sum to the truth best.
_DOUBT = 2.0


@dataclass(frozen=True)
class Normaliser:
    """Brings the scores of any detector to one scale, so that they can be averaged.

    Attributes:
        centre: Median of the scores of fitted rows.
        scale: Their interquartile range, or where that is 0 what else tells how they spread.
    """

    centre: float
    scale: float

    @classmethod
    def fit(cls, scores: Scores) -> "Normaliser":
        """Learns the scale of finite scores, shape (rows,), at least one."""
        return cls(float(np.median(scores)), _spread(scores))

    def apply(self, scores: Scores) -> Scores:
        """Returns robust z-scores between -5 and 10, shape (rows,)."""
        with np.errstate(over="ignore"):
            return np.asarray(np.clip((scores - self.centre) / self.scale, _LOWEST, _HIGHEST))


@dataclass(frozen=True)
class UsualTail:
    """How scores of usual rows thin out: exponentially above the third quartile.

    It is taken from the middle of the scores, which a quarter of anomalies does not move, and
    widened by the skewness of the scores, up to 0.25, as in the adjusted boxplot: at a share of
    0.35 % it has reached the fence of that.

    Source: Hubert and Vandervieren, An adjusted boxplot for skewed distributions (2008).

    Attributes:
        start: Third quartile.
        width: Interquartile range, times the correction for skewness; not 0.
    """

    start: float
    width: float

    @classmethod
    def fit(
        cls,
        scores: Scores,
        most: int = MOST_MEDCOUPLE_SCORES,
        most_skewness: float = _MOST_SKEWNESS,
    ) -> "UsualTail":
        """Learns the tail of finite scores, shape (rows,), at least one.

        Args:
            scores: What to learn from.
            most: The skewness is found from so many order statistics.
            most_skewness: More skewness than this is put down to anomalies; 1 puts down none.
        """
        skewness = min(medcouple(scores, most), most_skewness)
        exponent = 3 if skewness >= 0 else 4
        width = _spread(scores) * math.exp(exponent * skewness)
        return cls(float(np.quantile(scores, 0.75)), width)

    def above(self, scores: Scores) -> Scores:
        """Returns the share of usual rows with a larger score, 1 below the tail, shape (rows,)."""
        with np.errstate(over="ignore", under="ignore"):
            distances = np.maximum((scores - self.start) / self.width, 0)
            return np.where(distances > 0, _ABOVE_QUARTILE * np.exp(-_DECAY * distances), 1.0)

    def threshold(self, share: float) -> float:
        """Returns the score that only a share (0 to 0.25) of usual rows exceeds."""
        return self.start + self.width * math.log(_ABOVE_QUARTILE / share) / _DECAY


@dataclass(frozen=True)
class Calibration:
    """What a score means, learned from the scores of rows that no detector was fitted on.

    Sources: Vovk et al., Algorithmic learning in a random world (2005); Bates et al., Testing for
    outliers with conformal p-values (2023); Efron, Size, power and false discovery rates (2007).

    Attributes:
        count: Number of scores.
        values: Order statistics of them, ascending: all, or at most 4096 with the largest 1024.
        ranks: How many scores come before each, shaped alike.
        certainties: The largest probability up to each, shaped alike.
        tail: How the scores of usual rows thin out.
    """

    count: int
    values: Scores
    ranks: npt.NDArray[np.int64]
    certainties: Scores
    tail: UsualTail

    @classmethod
    def fit(cls, scores: Scores, most: int = MOST_MEDCOUPLE_SCORES) -> "Calibration":
        """Learns from finite scores, shape (rows,), at least one.

        Args:
            scores: What to learn from.
            most: Their skewness is found from so many order statistics.
        """
        ranks = kept_ranks(len(scores))
        values = np.sort(scores)[ranks]
        tail = UsualTail.fit(scores, most)
        bare = cls(len(scores), values, ranks, np.zeros(len(values)), tail)
        certainties = np.maximum.accumulate(bare.probabilities(values))
        return cls(len(scores), values, ranks, certainties, tail)

    def p_values(self, scores: Scores) -> Scores:
        """Returns conformal p-values, (1 + scores as large) / (n + 1), shape (rows,).

        For usual rows they are not smaller than uniform. Between the kept order statistics the
        larger value is taken, so that this stays true.
        """
        return self._p_values(np.searchsorted(self.values, scores, side="left"))

    def probabilities(self, scores: Scores) -> Scores:
        """Returns which share of the rows with such a score or more are anomalies, shape (rows,).

        One less the ratio of how many usual rows may be there to how many are: 0 to 1, and
        never less for a larger score.
        """
        places = np.searchsorted(self.values, scores, side="left")
        usual = self.tail.above(scores)
        certain = 1 - np.minimum(_DOUBT * usual / self._p_values(places), 1)
        before = np.where(places > 0, self.certainties[np.maximum(places, 1) - 1], 0.0)
        return np.asarray(np.maximum(certain, before))

    def _p_values(self, places: npt.NDArray[np.int64]) -> Scores:
        smaller = np.where(places > 0, self.ranks[np.maximum(places, 1) - 1] + 1, 0)
        return np.asarray((1 + self.count - smaller) / (self.count + 1))


def automatic_threshold(scores: Scores) -> float:
    """Returns the upper fence of the adjusted boxplot: no share of anomalies is guessed.

    Where more than half of the scores are equal there is no boxplot: then the scores above these
    are marked if they are rare (5 %), else those above their own fence.

    Source: Hubert and Vandervieren, An adjusted boxplot for skewed distributions (2008).

    Args:
        scores: Finite, shape (rows,), at least one.
    """
    lower, upper = np.quantile(scores, (0.25, 0.75))
    if lower < upper:
        return UsualTail.fit(scores).threshold(_ABOVE_FENCE)
    larger = scores[scores > upper]
    if len(larger) <= _RARE * len(scores):
        return float(upper)
    return automatic_threshold(larger)


def false_discovery_threshold(scores: Scores, p_values: Scores, rate: float) -> float:
    """Returns the threshold at which a share of at most `rate` of the marked rows is usual.

    Source: Benjamini and Hochberg, Controlling the false discovery rate (1995).

    Args:
        scores: Shape (rows,), at least one.
        p_values: Of these scores; never larger for a larger score.
        rate: Wanted false discovery rate, 0 to 1.

    Returns:
        The largest score if nothing can be marked at this rate.
    """
    ascending = np.sort(p_values)
    passed = np.flatnonzero(ascending <= rate * np.arange(1, len(scores) + 1) / len(scores))
    if not len(passed):
        return float(scores.max())
    usual = scores[p_values > ascending[passed[-1]]]
    return float(usual.max()) if len(usual) else float(np.nextafter(scores.min(), -np.inf))


def contamination_threshold(scores: Scores, share: float) -> float:
    """Returns the threshold above which at most a share of the rows lies.

    Args:
        scores: Shape (rows,), at least one.
        share: Of rows to mark, 0 to 1; fewer are marked only where scores are equal.
    """
    marked = min(math.floor(len(scores) * share + 1e-9), len(scores) - 1)
    place = len(scores) - 1 - marked
    return float(np.partition(scores, place)[place])


def medcouple(scores: Scores, most: int = MOST_MEDCOUPLE_SCORES) -> float:
    """Returns the medcouple, a robust measure of skewness between -1 and 1.

    Of more scores order statistics are taken, evenly. For more than some hundred the kernel's
    median is found by bisection: to count how many of its n * n values reach one takes n log n.

    Source: Brys, Hubert and Struyf, A robust measure of skewness (2004).

    Args:
        scores: Finite, shape (rows,), at least one.
        most: Scores that are compared.
    """
    values = np.sort(scores)
    if len(values) > most:
        places = np.linspace(0, len(values) - 1, most)
        values = values[np.rint(places).astype(np.int64)]
    # Half the scale keeps the difference of the largest numbers finite.
    halves = values / 2
    halves -= np.median(halves)
    above, below = halves[halves > 0], halves[halves < 0]
    ties = len(halves) - len(above) - len(below)
    return _kernel_median(above, below, ties)


def _kernel_median(above: Scores, below: Scores, ties: int) -> float:
    """Returns the median of (x + y) / (x - y) over x >= 0 >= y.

    Pairs of a tie with a number above have kernel 1, with one below -1, and pairs of ties
    have as many 1 as -1, with `ties` times 0 between.
    """
    pairs = (len(above) + ties) * (len(below) + ties)
    extremes = ties * (ties - 1) // 2
    ones, zeros = ties * len(above) + extremes, ties
    if pairs <= _MOST_PAIRS:
        kernel = (above[:, None] + below) / (above[:, None] - below)
        others = np.repeat([1.0, 0.0, -1.0], [ones, zeros, ties * len(below) + extremes])
        return float(np.median(np.concatenate([kernel.ravel(), others])))

    def reaching(value: float) -> int:
        """Returns how many kernel values are at least a value in (-1, 1)."""
        with np.errstate(over="ignore"):
            limits = above * ((value - 1) / (value + 1))
        below_limits = np.searchsorted(below, limits, side="left")
        return ones + int((len(below) - below_limits).sum()) + (zeros if value <= 0 else 0)

    def ranked(rank: int) -> float:
        """Returns the kernel value that `rank` values reach."""
        low, high = -1.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if not low < middle < high:
                break
            low, high = (middle, high) if reaching(middle) >= rank else (low, middle)
        return low

    upper = ranked((pairs + 1) // 2)
    return upper if pairs % 2 else (upper + ranked(pairs // 2 + 1)) / 2


def _spread(scores: Scores) -> float:
    """Returns the interquartile range, or where it is 0 the next that tells how scores spread."""
    halves = scores / 2  # the range of the largest doubles is not finite
    for share in (0.25, 0.05, 0.01, 0.0):
        low, high = np.quantile(halves, (share, 1 - share))
        if high > low:
            return float(min(2 * (high - low), np.finfo(np.float64).max))
    return max(abs(float(scores[0])) * 1e-9, 1e-12)


def kept_ranks(count: int) -> npt.NDArray[np.int64]:
    """Returns which order statistics of so many scores are kept: the largest all, others evenly."""
    if count <= MOST_ORDER_STATISTICS:
        return np.arange(count)
    spread = np.linspace(0, count - _EXACT_TAIL - 1, MOST_ORDER_STATISTICS - _EXACT_TAIL)
    tail = np.arange(count - _EXACT_TAIL, count)
    return np.concatenate([np.rint(spread).astype(np.int64), tail])
