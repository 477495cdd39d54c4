"""What a report is made of. All text is plain text: whatever it holds, it is shown as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Bar:
    """A part of something, as a small bar.

    Attributes:
        label: What it is of.
        length: 0 to 1, of the full width.
        value: The number, for people.
        note: A line below.
    """

    label: str
    length: float
    value: str
    note: str = ""


@dataclass(frozen=True)
class Bars:
    """A cell of bars, one below the other.

    Attributes:
        bars: From top to bottom.
        note: A line below them all.
    """

    bars: tuple[Bar, ...]
    note: str = ""


Cell = str | int | float | Bars | None


@dataclass(frozen=True)
class Table:
    """Rows that readers can sort; on a phone each is a card.

    Attributes:
        columns: Headings.
        rows: Cells, as many as there are headings; numbers are shown to four digits, whole ones
            in full, None as a dash.
        caption: What the table shows.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str

    def __post_init__(self) -> None:
        """Refuses rows that do not fit the headings."""
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"each row of {self.caption!r} needs {len(self.columns)} cells")


@dataclass(frozen=True)
class Plot:
    """A figure of plotly, in the colours of the reader's scheme.

    Figures take their colours from `theme`, and text of others through `text.plot_text`. Traces
    that need WebGL (`scattergl`) compile code while they run, which the page does not allow.

    Attributes:
        figure: Without a title: the caption tells.
        caption: What it shows.
        description: What there is to see, for those who cannot see it.
    """

    figure: Figure
    caption: str
    description: str


Part = str | Plot | Table


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading.

    Attributes:
        title: The heading.
        parts: Paragraphs, plots and tables.
    """

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """A page.

    Attributes:
        title: What it reports on.
        facts: What readers want to know first, by name.
        sections: The rest.
    """

    title: str
    facts: Mapping[str, str | int | float]
    sections: Sequence[Section]
