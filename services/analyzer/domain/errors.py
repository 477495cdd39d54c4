"""Why a part of an analysis comes to nothing."""


class NotApplicableError(Exception):
    """There is no such thing for this model and data; the message says why, one sentence."""


class UnusableModelError(Exception):
    """The model cannot be used for what a part needs; the message says why, one sentence."""
