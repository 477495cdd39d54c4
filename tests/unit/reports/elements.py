"""Reads pages as browsers do."""

from html.parser import HTMLParser


class Elements(HTMLParser):
    """Collects a page's elements and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def given(self, tag: str) -> list[dict[str, str | None]]:
        return [given for name, given in self.tags if name == tag]
