"""Choose by asking the model itself: the strategy `self-judge`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pixcore_pictures.drawing import blend

from pixcore import masks
from pixcore.components import SelectionStrategy
from pixcore.errors import ModelError, SampleError, UserError
from pixcore.records import Candidate, Image, Response, Sample, Selection
from pixcore_selection.config import SelfJudgeConfig
from pixcore_selection.pick import best_score
from pixcore_selection.places import Place, all_places, not_empty, score_at


class SelfJudge(SelectionStrategy[SelfJudgeConfig]):
    """Chooses the mask that the model itself takes for the expression.

    It is shown the picture once for each mask, the mask in red, and asked yes or no; the mask with the highest
    probability of yes, against that of no, wins. It needs no second model, but as many questions as there are masks.
    Empty masks, with which nothing in the picture would be red, are shown only where all are empty.
    """

    needs_model = True

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose by asking the model.

        Raises:
            UserError: There is no model to ask.
            ModelError: The model can't score a continuation.
        """
        if sample.expression is None:
            return Selection.nothing("no expression to ask about")
        shown = self._shown(candidates)
        if not shown:
            return Selection.nothing("no candidates")
        if self.context.model is None:
            raise UserError(
                "the strategy 'self-judge' asks the run's model, and there is none",
                hint="use it in pixcore run, with a model",
            )
        model, pixels = self.context.model(), sample.image.pixels()
        prompt = self.config.prompt.format(expression=sample.expression)
        beliefs = []
        for index, mask in shown:
            marked = blend(pixels, masks.decode(candidates[index].masks[mask]), opacity=self.config.opacity)
            picture = Image.from_pixels(marked, name=f"{sample.id}, candidate {index}, mask {mask}")
            try:
                yes, no = model.probability(picture, prompt, [self.config.yes, self.config.no])
            except NotImplementedError as error:
                raise ModelError(f"self-judge: {error}", hint="take another selection for this model") from error
            if not np.isfinite([yes, no]).all():
                raise SampleError(f"the model's probability of yes for {picture.name} is not a finite number")
            beliefs.append(float(yes / (yes + no)) if yes + no > 0 else 0.0)
        best = max(range(len(shown)), key=lambda place: (beliefs[place], -place))
        details = {"asked": [[*place, round(belief, 6)] for place, belief in zip(shown, beliefs, strict=True)]}
        if self.config.threshold is not None and beliefs[best] < self.config.threshold:
            reason = f"yes is nowhere as probable as {self.config.threshold:g}"
            return Selection.absent(reason, score=beliefs[best], details=details)
        if not beliefs[best] > 0:
            return Selection.nothing("the model says yes to no mask", score=0.0, details=details)
        reason = f"the model says yes to it with a probability of {beliefs[best]:.2f}"
        return Selection.chosen(*shown[best], score=beliefs[best], reason=reason, details=details)

    def _shown(self, candidates: Sequence[Candidate]) -> list[Place]:
        """What the model is shown, in order."""
        places = all_places(candidates)
        if self.config.masks == "best-score":
            places = [(index, mask) for index, mask in places if mask == best_score(candidates[index])]
        places = not_empty(candidates, places)
        if self.config.limit is not None:
            # sorted() keeps the order of equals
            highest = sorted(places, key=lambda place: -score_at(candidates, place))[: self.config.limit]
            places = sorted(highest)
        return places
