"""Makes the page of a report."""

import base64
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.graph_objects import Figure
from plotly.io.json import to_json_plotly

from common.reports import plotly_js
from common.reports.contents import all_parts, places
from common.reports.pictures import size_of
from common.reports.report import Bars, Notice, Part, Picture, Plot, Report
from common.reports.text import number
from common.reports.theme import TEMPLATE

_HERE = Path(__file__).parent
_STYLES = ("page.css", "parts.css", "narrow.css")
_PLOT_HEIGHT = 400
_TALL = 900
_NAME = re.compile(r"`([^`\n]+)`")


def render(report: Report) -> str:
    """Returns the page as HTML, to be written as UTF-8.

    It holds all that it needs and loads nothing: 2 MB with plots (nearly all of it plotly.js,
    once and packed, however many plots there are), some kilobytes without. Its security policy
    lets no other script than its own run and no request leave. Browsers older than 2023 cannot
    unpack plotly.js; they show the rest.
    """
    plots = any(isinstance(part, Plot) for part in all_parts(report.sections))
    scripts = _scripts(plots)
    page = (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            places=places(report.sections),
            policy=_policy(scripts, plots),
            style=Markup("".join(map(_read, _STYLES))),
            plotly=Markup(plotly_js.packed()) if plots else None,
            scripts=[Markup(script) for script in scripts],
        )
    )
    # Text of others may hold half a character, which no encoding can write.
    return page.encode("utf-8", "replace").decode("utf-8")


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def _scripts(plots: bool) -> list[str]:
    names = ("page.js", "numbers.js", "plots.js") if plots else ("page.js",)
    return [_read(name) for name in names]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["notice"] = lambda part: isinstance(part, Notice)
    environment.tests["bars"] = lambda cell: isinstance(cell, Bars)
    environment.tests["tall"] = lambda height: height > _TALL
    environment.filters["kind"] = _kind
    environment.filters["prose"] = _prose
    environment.filters["blocks"] = _blocks
    environment.filters["height"] = lambda figure: figure.layout.height or _PLOT_HEIGHT
    environment.filters["figure_json"] = _figure_json
    environment.filters["image"] = _image
    environment.filters["fact"] = lambda fact: fact if isinstance(fact, str) else number(fact)
    environment.filters["digits"] = _digits
    return environment


def _prose(text: str) -> Markup:
    """Returns text in which names between backquotes stand out."""
    return Markup(_NAME.sub(r"<code>\1</code>", str(escape(text))))


def _kind(part: Part) -> str:
    """Returns the name of the macro that shows a part."""
    return "paragraph" if isinstance(part, str) else type(part).__name__.lower()


def _blocks(parts: Sequence[Part]) -> list[list[Part]]:
    """Returns parts in order, notices that follow each other together."""
    return [list(block) for _, block in groupby(parts, lambda part: isinstance(part, Notice))]


def _figure_json(figure: Figure) -> Markup:
    """Returns a figure for a script element: no text in it can end that element."""
    written = to_json_plotly(Figure(figure).update_layout(template=TEMPLATE))
    return Markup(written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _image(picture: Picture, enlarged_to: int) -> dict[str, str | int]:
    """Returns attributes of an image; a small one is enlarged, by a whole number."""
    width, height = size_of(picture.png)
    factor = max(1, enlarged_to // max(width, height))
    shown: dict[str, str | int] = {
        "src": f"data:image/png;base64,{base64.b64encode(picture.png).decode()}",
        "alt": picture.description,
        "width": width * factor,
        "height": height * factor,
    }
    return shown | ({"class": "enlarged"} if factor > 1 else {})


def _digits(value: float) -> str:
    """Returns a number of a table, which may be one that readers copy: without separators."""
    return str(value) if isinstance(value, int) else number(value)


def _policy(scripts: list[str], plots: bool) -> str:
    """Returns the page's security policy: its scripts by their digests, nothing from elsewhere."""
    sources = [plotly_js.script_source(script) for script in scripts]
    sources += [plotly_js.source()] if plots else []
    return (
        f"default-src 'none'; script-src {' '.join(sources)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
