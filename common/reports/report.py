"""What a report is made of. All text is plain text: whatever it holds, it is shown as it is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from plotly.graph_objects import Figure

from common.reports.pictures import Pixels, png_of, size_of

_FILE_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


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
        numbers: What readers get as the plot's numbers; by default the page makes a table of what
            the figure holds.
    """

    figure: Figure
    caption: str
    description: str
    numbers: Table | None = None


@dataclass(frozen=True)
class Picture:
    """A picture; a small one is shown enlarged, each pixel a square.

    Attributes:
        png: The file.
        caption: What it shows; in a gallery a few words.
        description: What there is to see, for those who cannot see it.
    """

    png: bytes
    caption: str
    description: str

    def __post_init__(self) -> None:
        """Refuses what is no PNG file."""
        size_of(self.png)

    @classmethod
    def of(cls, pixels: Pixels, caption: str, description: str) -> "Picture":
        """Returns a picture of pixels, 0 to 255, shape (height, width) or (height, width, 3)."""
        return cls(png_of(pixels), caption, description)


@dataclass(frozen=True)
class Gallery:
    """Pictures in a grid.

    Attributes:
        pictures: In the order of reading, each with a caption of a few words.
        caption: What they show together.
    """

    pictures: Sequence[Picture]
    caption: str


class Severity(StrEnum):
    """How much a notice matters; its value is the word that readers see."""

    PROBLEM = "Problem"
    WARNING = "Warning"
    NOTE = "Note"
    GOOD = "Good"


@dataclass(frozen=True)
class Notice:
    """Something found that readers should know, as a card. Notices in a row form one list.

    Attributes:
        severity: How much it matters.
        title: What was found, in a few words.
        text: What that means.
        cure: What to do about it; empty if nothing.
    """

    severity: Severity
    title: str
    text: str
    cure: str = ""


@dataclass(frozen=True)
class Code:
    """Lines to be copied as they are; they wrap, and are one block.

    Attributes:
        text: The lines.
        caption: What they do.
    """

    text: str
    caption: str


@dataclass(frozen=True)
class Link:
    """A line that leads to a file beside the page.

    Attributes:
        text: What is there.
        file: Its name, with letters, digits, dots, hyphens and underscores.
    """

    text: str
    file: str

    def __post_init__(self) -> None:
        """Refuses addresses: a page leads nowhere but to what lies beside it."""
        if not _FILE_NAME.fullmatch(self.file):
            raise ValueError(f"{self.file!r} is not the name of a file beside the page")


Part = str | Plot | Table | Picture | Gallery | Notice | Code | Link


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading, listed in its table of contents.

    Attributes:
        title: The heading.
        parts: Paragraphs, plots, tables and the like.
        note: A line under the heading: what stands in for what is missing here, or why it is.
        subsections: Sections below the parts; they have none themselves.
    """

    title: str
    parts: Sequence[Part] = ()
    note: str = ""
    subsections: Sequence["Section"] = ()

    def __post_init__(self) -> None:
        """Refuses sections below subsections."""
        if any(below.subsections for below in self.subsections):
            raise ValueError(f"subsections of {self.title!r} have subsections themselves")


@dataclass(frozen=True)
class Report:
    """A page.

    Attributes:
        title: What it reports on.
        facts: What readers want to know first, by name.
        sections: The rest.
        summary: What it all comes to, above the facts: paragraphs and notices.
    """

    title: str
    facts: Mapping[str, str | int | float]
    sections: Sequence[Section]
    summary: Sequence[str | Notice] = ()
