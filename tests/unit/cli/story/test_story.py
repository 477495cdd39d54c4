"""The steps, the file of their requests and the page tell the same story."""

import dataclasses
import re

from aimass.pruner.v1 import pruner_pb2
from common.cli.documents import load_documents
from common.cli.story.data import EXAMPLES
from common.cli.story.page import story_page
from common.cli.story.steps import FILE, STEPS
from tests.unit.cli.story.support import chapters, lineage
from tests.unit.reports.elements import Elements

PAGES = {"scan": "scan.html", "comparison": "comparison.html"}


def page() -> Elements:
    return Elements(story_page(chapters(), lineage(), PAGES))


def test_each_step_has_its_request() -> None:
    """Protects the one list: a step without a document, or the other way round, is seen here."""
    assert [each.label for each in load_documents(FILE)] == [step.label for step in STEPS]


def test_the_description_tells_the_steps() -> None:
    """Protects the page for readers from telling of other steps than there are."""
    described = re.findall(
        r"^\d\. \*\*(.+?)\*\*: (.+)$", (EXAMPLES / "README.md").read_text(), re.M
    )
    assert described == [(step.title, step.purpose) for step in STEPS]


def test_spoilt_rows_are_counted_among_the_marked() -> None:
    """The number that the demonstration is proud of."""
    _, scan, *_ = chapters()
    first, second = scan.sentences
    assert first.startswith("30 of the 36 spoilt rows were found: 10 of 12 typed in another unit")
    assert second == "1 other row marked as well, odd by nature or by mistake."


def test_sentences_say_what_each_step_came_to() -> None:
    """Protects from steps that end with nothing to say."""
    told = {each.step.label: " ".join(each.sentences) for each in chapters()}
    assert "342 to learn from" in told["data"]
    assert "0.97 on the test rows" in told["search"]
    assert "marked rows are left out" in told["network"]
    assert "1 worker killed" in told["network"] and "7 steps done again" in told["network"]
    assert "4.00 times smaller" in told["smaller"]
    assert told["comparison"] == "The smaller one is as good."


def test_the_page_links_to_the_pages_beside_it() -> None:
    """Every report can be reached, and nothing that is not there."""
    links = [given.get("href") or "" for given in page().given("a")]
    assert [link for link in links if not link.startswith("#")] == list(PAGES.values())


def test_the_page_holds_requests_and_the_way_from_the_file() -> None:
    """What the terminal showed is on the page, too."""
    text = page().text
    assert text.count("grpcurl -plaintext") == len(STEPS)
    assert "uploads/cells" in text and "aimass trace analyses/a" in text
    assert all(step.title in text and step.purpose in text for step in STEPS)


def test_a_model_that_cannot_be_made_smaller_has_its_story() -> None:
    """Protects from a page that fails where the pruner keeps the original."""
    told = chapters()
    kept = pruner_pb2.PruningRun(name="pruningRuns/p")
    kept.summary.original.name = kept.summary.recommended = "original"
    told[4] = dataclasses.replace(told[4], run=kept)
    assert "Recommended: the model as it was." in Elements(story_page(told, lineage(), {})).text
