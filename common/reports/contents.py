"""Places of sections in a page: what its table of contents leads to."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.reports.report import Part, Section

_LONGEST = 40


@dataclass(frozen=True)
class Place:
    """A section in a page.

    Attributes:
        id: Of its element, unique in the page.
        section: What stands there.
        below: Its subsections.
    """

    id: str
    section: Section
    below: tuple["Place", ...]


def places(sections: Sequence[Section]) -> tuple[Place, ...]:
    """Returns sections with ids made from their titles."""
    return _places(sections, set())


def all_parts(sections: Sequence[Section]) -> Iterator[Part]:
    """Yields the parts of sections and their subsections."""
    for section in sections:
        yield from section.parts
        yield from all_parts(section.subsections)


def _places(sections: Sequence[Section], taken: set[str]) -> tuple[Place, ...]:
    return tuple(
        Place(_new_id(section.title, taken), section, _places(section.subsections, taken))
        for section in sections
    )


def _new_id(title: str, taken: set[str]) -> str:
    """Returns an id, and notes it as taken."""
    # An element's id is a global name for scripts: a bare title such as "exports" would be one
    # that plotly.js reads.
    wanted = "-".join(filter(None, ("section", _slug(title))))
    number, free = 1, wanted
    while free in taken:
        number += 1
        free = f"{wanted}-{number}"
    taken.add(free)
    return free


def _slug(title: str) -> str:
    """Returns the letters and digits of ASCII in a title, with hyphens for the rest."""
    plain = unicodedata.normalize("NFKD", title[: 4 * _LONGEST]).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower())[:_LONGEST].strip("-")
