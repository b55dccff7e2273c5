from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from pixcore_selection.config import GivenSimilarityConfig, PhraseOverlapConfig
from pixcore_selection.phrases import PhraseOverlap
from pixcore_selection.rules import GivenSimilarity, MaskScore, Oracle, RandomPick

from pixcore.components import Context, NoConfig
from pixcore.errors import DataError
from pixcore.records import Candidate, Fidelity, Response, Sample

PUBLISHED = Context(fidelity=Fidelity.PUBLISHED)
PAPER = Context(fidelity=Fidelity.PAPER)


@pytest.mark.parametrize(
    "strategy",
    [Oracle(NoConfig()), MaskScore(NoConfig()), RandomPick(NoConfig()), PhraseOverlap(PhraseOverlapConfig())],
)
def test_without_candidates_nothing_is_chosen(strategy, make_sample, silent):
    assert strategy.select(make_sample(), silent, []).outcome == "nothing"


def test_the_oracle_takes_the_best_mask_and_ties_by_fidelity(make_sample, make_candidate, silent):
    candidates = [
        make_candidate("a", (0, 40), (0, 30)),
        make_candidate("b", (0, 45), (0, 20)),
        make_candidate("c", (80, 90), (0, 45)),
    ]
    corrected = Oracle(NoConfig()).select(make_sample(), silent, candidates)
    published = Oracle(NoConfig(), PUBLISHED).select(make_sample(), silent, candidates)
    assert (corrected.candidate, corrected.mask) == (1, 0)
    assert (published.candidate, published.mask) == (2, 1)
    assert corrected.score == published.score == pytest.approx(45 / 50)


@pytest.mark.parametrize("context", [Context(), PUBLISHED])
def test_the_oracle_knows_that_an_object_is_absent(context, make_sample, make_candidate, silent):
    chosen = Oracle(NoConfig(), context).select(make_sample(0, 0), silent, [make_candidate("a", (0, 9))])
    assert chosen.outcome == "absent"
    assert "ground truth is empty" in chosen.reason


def test_the_first_releases_oracle_takes_the_smallest_mask_of_an_absent_object(make_sample, make_candidate, silent):
    candidates = [make_candidate("a", (0, 9), (0, 4)), make_candidate("b", (0, 7), (10, 14))]
    oracle = Oracle(NoConfig(), PAPER)
    chosen = oracle.select(make_sample(0, 0), silent, candidates)
    assert (chosen.outcome, chosen.candidate, chosen.mask, chosen.score) == ("chosen", 0, 1, 0.0)  # of equals the first
    with_empty = [*candidates, make_candidate("c", (5, 5))]
    chosen = oracle.select(make_sample(0, 0), silent, with_empty)
    assert (chosen.candidate, chosen.score) == (2, 1.0)
    assert oracle.select(make_sample(0, 0), silent, []).outcome == "nothing"
    there = make_sample()
    assert oracle.select(there, silent, candidates) == Oracle(NoConfig(), PUBLISHED).select(there, silent, candidates)


def test_only_the_oracle_uses_the_ground_truth():
    assert Oracle.uses_ground_truth
    assert not any(strategy.uses_ground_truth for strategy in (MaskScore, RandomPick, PhraseOverlap))


def test_mask_score_takes_the_first_highest(make_sample, make_candidate, silent):
    candidates = [
        make_candidate("a", (0, 9), (0, 8), scores=(0.1, 0.9)),
        make_candidate("b", (0, 7), scores=(0.9,)),
    ]
    chosen = MaskScore(NoConfig()).select(make_sample(), silent, candidates)
    assert (chosen.candidate, chosen.mask, chosen.score) == (0, 1, 0.9)


def test_random_is_uniform_over_masks_and_depends_on_the_seed_alone(make_sample, make_candidate, silent):
    candidates = [make_candidate("a", (0, 9), (0, 8), (0, 7)), make_candidate("b"), make_candidate("c", (0, 6))]
    strategy, sample = RandomPick(NoConfig()), make_sample()

    def draw(entropy: int) -> tuple[int | None, int | None]:
        strategy.reseed(entropy)
        chosen = strategy.select(sample, silent, candidates)
        return chosen.candidate, chosen.mask

    first = [draw(entropy) for entropy in range(2000)]
    assert first[::-1] == [draw(entropy) for entropy in reversed(range(2000))]
    counts = Counter(first)
    assert set(counts) == {(0, 0), (0, 1), (0, 2), (2, 0)}
    assert all(abs(count - 500) < 100 for count in counts.values())  # five standard deviations


def test_a_candidate_without_scores_is_named(make_sample, bar, silent):
    with pytest.raises(DataError, match="sample one has a candidate without scores"):
        MaskScore(NoConfig()).select(make_sample(), silent, [Candidate(None, None, (bar(0, 4),), ())])


class TestGivenSimilarity:
    @pytest.fixture
    def given(self, make_candidate):
        """Candidates of two masks each, with these similarities."""

        def make(*values: float | None) -> list[Candidate]:
            plain = make_candidate("a", (0, 9), (0, 8), (0, 7), scores=(0.2, 0.9, 0.3))
            return [replace(plain, similarity=value) for value in values]

        return make

    def choose(self, sample: Sample, candidates: list[Candidate], context: Context = PUBLISHED, **options: object):
        return GivenSimilarity(GivenSimilarityConfig(**options), context).select(sample, Response(""), candidates)

    def test_ties_and_masks_by_fidelity(self, given, make_sample):
        published = self.choose(make_sample(), given(0.8, 0.9, 0.9, 0.1))
        corrected = self.choose(make_sample(), given(0.8, 0.9, 0.9, 0.1), Context())
        assert (published.candidate, published.mask, published.score) == (2, 2, 0.9)
        assert (corrected.candidate, corrected.mask, corrected.score) == (1, 1, 0.9)

    @pytest.mark.parametrize("context", [Context(), PUBLISHED])
    def test_below_the_threshold_the_object_is_absent(self, context, given, make_sample):
        assert self.choose(make_sample(), given(0.69, 0.2), context).outcome == "absent"
        assert self.choose(make_sample(), given(0.69, 0.2), context, threshold=None).candidate == 0
        assert self.choose(make_sample(), [], context).outcome == "nothing"

    def test_only_negative_similarities_choose_nothing_as_published(self, given, make_sample):
        assert self.choose(make_sample(), given(-0.1, -0.2)).outcome == "nothing"
        assert self.choose(make_sample(), given(-0.1, -0.2), Context()).outcome == "absent"

    @pytest.mark.parametrize("similarity", [0.0, 0.004])
    def test_a_similarity_of_zero_is_no_choice(self, similarity, given, make_sample):
        assert self.choose(make_sample(), given(similarity), Context(), threshold=None).outcome == "nothing"
        assert self.choose(make_sample(), given(0.01), Context(), threshold=None).outcome == "chosen"
        # the released evaluator begins at 0 and takes the last that is not below it
        assert self.choose(make_sample(), given(0.0, 0.0), PAPER).candidate == 1

    def test_the_first_release_has_no_threshold_of_its_own(self, given, make_sample):
        assert self.choose(make_sample(), given(0.3)).outcome == "absent"
        assert self.choose(make_sample(), given(0.3), PAPER).outcome == "chosen"
        assert self.choose(make_sample(), given(0.3), PAPER, threshold=0.7).outcome == "absent"

    def test_a_candidate_without_similarity_is_named(self, given, make_sample):
        with pytest.raises(DataError, match="sample one has a candidate without similarity"):
            self.choose(make_sample(), given(0.9, None))


class TestPhraseOverlap:
    def choose(self, sample: Sample, candidates: list[Candidate], **options: object) -> object:
        return PhraseOverlap(PhraseOverlapConfig(**options)).select(sample, None, candidates)

    def test_the_most_similar_phrase_wins(self, make_sample, make_candidate):
        candidates = [make_candidate("the door", (0, 9)), make_candidate("Red door", (0, 8), (0, 7), scores=(0.2, 0.6))]
        chosen = self.choose(make_sample(), candidates)
        assert (chosen.candidate, chosen.mask, chosen.score) == (1, 1, 1.0)

    def test_ties_go_to_the_better_mask_and_then_to_the_first(self, make_sample, make_candidate):
        candidates = [
            make_candidate("red", (0, 9), scores=(0.3,)),
            make_candidate("door", (0, 8), scores=(0.7,)),
            make_candidate("a door", (0, 7), scores=(0.7,)),
        ]
        assert self.choose(make_sample(), candidates).candidate == 1

    def test_below_the_threshold_the_object_is_absent(self, make_sample, make_candidate):
        candidates = [make_candidate("a blue fish", (0, 9))]
        assert self.choose(make_sample(), candidates).outcome == "nothing"  # no word in common is no choice
        assert self.choose(make_sample(), candidates, threshold=0.2).outcome == "absent"

    @pytest.mark.parametrize(("rule", "mask"), [("last", 2), ("smallest", 1), ("largest", 0), ("best-score", 0)])
    def test_the_mask_is_picked_by_the_rule(self, make_sample, make_candidate, rule, mask):
        candidates = [make_candidate("red door", (0, 9), (0, 2), (0, 5))]
        assert self.choose(make_sample(), candidates, mask=rule).mask == mask

    def test_without_an_expression_nothing_can_be_compared(self, make_sample, make_candidate):
        chosen = self.choose(make_sample(expression=None), [make_candidate("a", (0, 9))])
        assert chosen.outcome == "nothing"

    def test_predictions_without_phrases_do_not_match(self, make_sample, bar):
        chosen = self.choose(make_sample(), [Candidate(None, None, (bar(0, 4),), ())])
        assert (chosen.outcome, chosen.score) == ("nothing", 0.0)

    @pytest.mark.parametrize(("phrase", "score"), [("the boy's hat", 0.0), ("the boy’s hat", 0.0), ("cat ears", 0.5)])
    def test_the_s_of_a_possessive_is_no_word(self, phrase, score, make_sample, make_candidate):
        chosen = self.choose(make_sample(expression="the cat's ear"), [make_candidate(phrase, (0, 9))])
        assert chosen.score == score
