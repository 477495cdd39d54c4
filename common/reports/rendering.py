"""Makes the page of a report."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.graph_objects import Figure
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from common.reports.report import Bars, Plot, Report, Table
from common.reports.text import number
from common.reports.theme import TEMPLATE

_HERE = Path(__file__).parent
_PLOT_HEIGHT = 400


def render(report: Report) -> str:
    """Returns the page as HTML, to be written as UTF-8.

    It holds all that it needs and loads nothing: 4.8 MB with plots (nearly all of it plotly.js,
    once, however many plots there are), some kilobytes without. Its security policy lets no other
    script than its own run and no request leave.
    """
    plotly = get_plotlyjs() if _has_plots(report) else ""
    scripts = [script for script in (plotly, (_HERE / "page.js").read_text("utf-8")) if script]
    page = (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            default_height=_PLOT_HEIGHT,
            policy=_policy(scripts),
            style=Markup((_HERE / "page.css").read_text("utf-8")),
            scripts=[Markup(script) for script in scripts],
        )
    )
    # Text of others may hold half a character, which no encoding can write.
    return page.encode("utf-8", "replace").decode("utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["plot"] = lambda part: isinstance(part, Plot)
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["bars"] = lambda cell: isinstance(cell, Bars)
    environment.filters["figure_json"] = _figure_json
    environment.filters["fact"] = lambda fact: fact if isinstance(fact, str) else number(fact)
    environment.filters["digits"] = _digits
    return environment


def _has_plots(report: Report) -> bool:
    return any(isinstance(part, Plot) for section in report.sections for part in section.parts)


def _figure_json(figure: Figure) -> Markup:
    """Returns a figure for a script element: no text in it can end that element."""
    written = to_json_plotly(Figure(figure).update_layout(template=TEMPLATE))
    return Markup(written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _digits(value: float) -> str:
    """Returns a number of a table, which may be one that readers copy: without separators."""
    return str(value) if isinstance(value, int) else number(value)


def _policy(scripts: list[str]) -> str:
    """Returns the page's security policy: its scripts by their digests, nothing from elsewhere."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    sources = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
