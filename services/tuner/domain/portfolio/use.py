"""What of other data's searches a search may know."""

from enum import StrEnum


class PortfolioUse(StrEnum):
    """Named as in `aimass.tuner.v1.PortfolioUse`."""

    ALL = "all"
    SHIPPED = "shipped"
    NONE = "none"
