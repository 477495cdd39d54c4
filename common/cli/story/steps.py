"""The steps of the story, in order: the one list that the demonstration and its page tell.

What each of them asks for is the document of its label in `examples/story.yaml`.
"""

from common.cli.story import findings
from common.cli.story.data import EXAMPLES
from common.cli.story.step import Step

FILE = EXAMPLES / "story.yaml"

STEPS = (
    Step(
        "data",
        "Import a table with faults in it",
        "Measures of cells in 569 pictures, real ones; in 36 rows something went wrong on purpose. "
        "Nothing in the table says in which.",
        findings.of_data,
        findings.version,
    ),
    Step(
        "scan",
        "Find, mark and explain what is odd",
        "The outlier service chooses its detectors by the data and sees no label. Which rows were "
        "spoilt is known here, so that it can be counted how many it found.",
        findings.of_scan,
        findings.anomalies,
    ),
    Step(
        "search",
        "Search the best model, with and without the marks as weights",
        "The tuner tries families of models and their settings, and blends the best. What has "
        "learned by the marks becomes part of it only where that is proven to be better.",
        findings.of_search,
    ),
    Step(
        "network",
        "Train a network on two elastic workers, and kill one",
        "The trainer first compares what marked rows are best taken for, then trains. In the "
        "middle one of its workers is killed; the run goes on where it was.",
        findings.of_network,
        is_disturbed=True,
    ),
    Step(
        "smaller",
        "Make the winner of the search smaller",
        "The pruner measures smaller variants against the original, on rows that none has learned "
        "from, and recommends one that surely loses no more than is allowed.",
        findings.of_pruning,
    ),
    Step(
        "comparison",
        "Compare before and after",
        "The analyzer puts the winner, what the pruner made of it and the network side by side, on "
        "the same test rows.",
        findings.of_comparison,
        findings.results,
    ),
)
