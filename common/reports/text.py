"""Text of others, made fit to be shown."""

import html

_LARGE, _HUGE = 1e4, 1e12


def shortened(text: str, most: int = 80) -> str:
    """Returns text on one line, of at most so many characters; an ellipsis shows the cut."""
    line = " ".join(text[: 4 * most].split())
    whole = len(line) <= most and len(text) <= 4 * most
    return line if whole else f"{line[: most - 1].rstrip()}…"


def plot_text(text: str, most: int = 80) -> str:
    """Returns text for a figure, shortened; plotly reads tags in it, so these are escaped."""
    return html.escape(shortened(text, most), quote=False)


def number(value: float) -> str:
    """Returns a number for people: whole and large ones with separators, others to four digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if _LARGE <= abs(value) < _HUGE:
        return f"{value:,.0f}"
    return f"{value:.4g}" if float(f"{value:.4g}") else "0"
