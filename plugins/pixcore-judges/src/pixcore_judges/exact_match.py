"""The judge `exact-match`."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore.components import Judge, NoConfig
from pixcore.predictions.option_letters import grade_letter
from pixcore.protocols import letter
from pixcore.records import Fidelity, Verdict
from pixcore_judges.rules import read


class ExactMatch(Judge[NoConfig]):
    """Right if the answer names the right option, by rules that anyone can check.

    Under `published` the rule is the released evaluator's (protocol2_accuracy.py), which takes "A. Open" for wrong;
    under `corrected` the rules are those of `pixcore_judges.rules`. An answer that names no option, or several, gets
    no verdict: it counts as wrong and reports say how many there are.
    """

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        """Grade one answer; the question is not looked at."""
        if self.context.published:
            return grade_letter(response, options, answer, Fidelity.PUBLISHED)
        reading = read(response, options)
        if reading.option is None:
            return Verdict(None, reading.rule)
        named = letter(reading.option)
        return Verdict(
            reading.option == answer, f"names option {named}: {reading.rule}", {"rule": reading.rule, "option": named}
        )
