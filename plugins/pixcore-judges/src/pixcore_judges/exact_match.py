"""Judge answers by exact match: the judge `exact-match`."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore.components import Judge
from pixcore.records import Verdict
from pixcore_judges.config import ExactMatchConfig
from pixcore_judges.option_letters import grade_letter


class ExactMatch(Judge[ExactMatchConfig]):
    """Finds an answer right if it names the right option, by rules that anyone can check.

    Under `published` the rule is the released evaluator's (protocol2_accuracy.py), which takes "A. Open" for wrong;
    under `corrected` it is `pixcore score`'s. An answer that names no option, or several, gets
    no verdict: it counts as wrong and reports say how many there are. `bare_letters` counts letters alone.
    """

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        """Grade one answer; the question is not looked at."""
        return grade_letter(response, options, answer, self.context.fidelity, bare_letters=self.config.bare_letters)
