"""Let a language model say whether a free answer is right: the judge `openai`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pixcore.components import Context, Judge
from pixcore.records import Verdict
from pixcore.services import Expense
from pixcore_openai import prompts
from pixcore_openai.answers import read_yes_no
from pixcore_openai.asking import Asker, Question, answer_one, served_by
from pixcore_openai.config import JudgeConfig
from pixcore_openai.prices import expected

Item = tuple[str, Sequence[str], int, str]


class OpenAIJudge(Judge[JudgeConfig]):
    """Asks a language model whether answers to the protocol `question` are right (protocol1_accuracy.py).

    `published` asks the released script's question and reads the answer with its expression; `corrected` shows the
    options, marks where the answer begins and ends, and asks for a structured reply. An answer that can't be read is
    asked for once more and then gets no verdict, which counts as wrong and is reported.
    """

    asks_service = True

    def __init__(self, config: JudgeConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._asker = Asker(config, self.context)

    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        """Grade one answer."""
        return answer_one(self.grade_many([(question, options, answer, response)]))

    def grade_many(self, items: Iterable[Item]) -> Iterator[Verdict | Exception]:
        """Grade many answers, their calls overlapping."""
        return self._asker.overlap(items, self._grade)

    async def _grade(self, item: Item) -> Verdict:
        published = self.context.published
        answer = await self._asker.ask(self._question(item), lambda text: read_yes_no(text, published=published))
        exchanges = [dict(exchange) for exchange in answer.exchanges]
        details = {"served": served_by([answer]), "exchanges": exchanges}
        if answer.value is None:
            return Verdict(None, answer.problem, details)
        return Verdict(answer.value, f"the judge says {'yes' if answer.value else 'no'}", details)

    def _question(self, item: Item) -> Question:
        question, options, answer, response = item
        prompt, fields = prompts.grading(self.context, question, tuple(options), answer, response)
        return Question(prompt, fields)

    def expected_cost(self, question: str, options: Sequence[str], answer: int, response: str) -> Expense:
        """Say what grading will cost, if the judge's answer is read."""
        asked = self._question((question, options, answer, response))
        return expected(self.config.model, self.context, text=asked.prompt.system + asked.text)
