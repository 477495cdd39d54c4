"""The table of contents: every section can be reached, by an address that stays."""

from common.reports.contents import Place, places
from common.reports.report import Section


def ids(*titles: str) -> list[str]:
    return [place.id for place in places([Section(title) for title in titles])]


def test_ids_are_made_of_titles() -> None:
    """Who sends a link to a section need not look at the page's source."""
    assert ids("Map of the rows", "R² (naïve) & more") == [
        "section-map-of-the-rows",
        "section-r2-naive-more",
    ]


def test_ids_are_unique() -> None:
    """Sections may be called alike, or like another's id."""
    assert ids("a", "A!", "a 2", "a") == [
        "section-a",
        "section-a-2",
        "section-a-2-2",
        "section-a-3",
    ]
    assert ids("研究", "") == ["section", "section-2"]


def test_ids_are_unique_below_too() -> None:
    """Each class of an analysis may have a section of the same name."""
    (first, second) = places([Section(t, subsections=[Section("same")]) for t in ("a", "b")])
    assert first.below == (Place("section-same", Section("same"), ()),)
    assert second.below == (Place("section-same-2", Section("same"), ()),)


def test_long_titles_make_short_ids() -> None:
    """An address is to be read."""
    assert ids("word " * 1000) == ["section-" + "-".join(["word"] * 8)]
