"""Draws the rooms of the code and their arrows, from the imports, into ARCHITECTURE.md."""

import sys
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "```mermaid\n", "```\n"
_BASICS = "basics"
_IN_NO_ROOM = ("common", "services", "services.__main__")

Arrow = tuple[str, str]


def room_of(module: str) -> str:
    """Returns the room that a module lies in; files beside the rooms of `common` are the basics."""
    top, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    if top == "services":
        return room
    return room if (ROOT / top / room).is_dir() else _BASICS


def arrows() -> set[Arrow]:
    """Returns who imports from whom, between rooms.

    Raises:
        ValueError: There is a circle.
    """
    graph = grimp.build_graph("common", "services", cache_dir=None)
    found = {
        (room_of(module), room_of(imported))
        for module in graph.modules
        if module not in _IN_NO_ROOM
        for imported in graph.find_modules_directly_imported_by(module)
    }
    return {(start, end) for start, end in found if start != end}


def without_detours(found: Iterable[Arrow]) -> set[Arrow]:
    """Returns the arrows that no way by other rooms stands for (transitive reduction).

    Raises:
        ValueError: There is a circle.
    """
    direct: dict[str, set[str]] = {}
    for start, end in found:
        direct.setdefault(start, set()).add(end)
    far = {room: _reached(room, direct, ()) for room in sorted(direct)}
    return {
        (start, end)
        for start, ends in direct.items()
        for end in ends
        if not any(end in far.get(other, ()) for other in ends - {end})
    }


def _reached(room: str, direct: dict[str, set[str]], way: tuple[str, ...]) -> set[str]:
    if room in way:
        raise ValueError(f"Rooms in a circle: {' -> '.join((*way, room))}.")
    nearest = direct.get(room, set())
    further = (_reached(each, direct, (*way, room)) for each in sorted(nearest))
    return nearest.union(*further)


def drawn() -> str:
    """Returns the picture as Mermaid: services above, rooms of `common` below."""
    found = without_detours(arrows())
    services = sorted(path.parent.name for path in ROOT.glob("services/*/app.py"))
    rooms = sorted({room for arrow in found for room in arrow} - set(services))
    lines = [
        "flowchart TD",
        "  subgraph services",
        *(f"    {each}" for each in services),
        "  end",
        "  subgraph common",
        *(f"    {each}" for each in rooms),
        "  end",
        *(f"  {start} --> {end}" for start, end in sorted(found)),
    ]
    return "".join(f"{line}\n" for line in lines)


def with_picture(page: str) -> str:
    """Returns the page with the picture of now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{drawn()}{END}{after}"


if __name__ == "__main__":
    page = PAGE.read_text()
    if sys.argv[1:] == ["--check"] and with_picture(page) != page:
        raise SystemExit("ARCHITECTURE.md has an old picture; run `make rooms`.")
    PAGE.write_text(with_picture(page))
