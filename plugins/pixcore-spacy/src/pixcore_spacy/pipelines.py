"""Load spaCy pipelines, each once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pixcore.components import Context
from pixcore.errors import ModelError, first_line
from pixcore.notices import notice
from pixcore.stages.store import content_key
from pixcore_spacy.config import PipelineConfig

_UNUSED = ("ner", "lemmatizer")  # neither noun chunks nor vectors need them


@cache
def load(name: str) -> Any:
    """Load the pipeline of a name or folder.

    Raises:
        ModelError: It is not installed, or it can't be loaded.
    """
    # imported here because a run whose records are all there asks the strategy's class and nothing of spaCy
    import spacy
    from spacy.util import get_installed_models

    try:
        return spacy.load(name, exclude=list(_UNUSED))
    except OSError as error:
        installed = " | ".join(sorted(get_installed_models()))
        if Path(name).name != name or Path(name).exists():
            instead = f", or an installed pipeline: {installed}" if installed else ""
            raise ModelError(
                f"no spaCy pipeline can be read from {name!r}: {first_line(error)}",
                hint=f"name the folder that holds the pipeline's meta.json and config.cfg{instead}",
            ) from error
        instead = f", or name an installed one: pipeline: {installed}" if installed else ""
        raise ModelError(
            f"the spaCy pipeline {name!r} is not installed", hint=f"python -m spacy download {name}{instead}"
        ) from error
    except (ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"the spaCy pipeline {name!r} can't be loaded: {first_line(error)}",
            hint="is it made for this version of spaCy?",
        ) from error


def installed(language: str) -> list[str]:
    """List the installed pipelines of a language, the large ones first: they parse best."""
    from spacy.util import get_installed_models

    sizes = ("lg", "md", "sm")
    known = [name for name in get_installed_models() if name.startswith(f"{language}_")]
    order = {name: [size in name.split("_") for size in sizes] for name in known}
    return sorted(known, key=lambda name: ([not fits for fits in order[name]], name))


@cache
def load_for_phrases(name: str) -> Any:
    """Load a pipeline, which must find noun chunks.

    Raises:
        ModelError: It can't be loaded, or it has no parser, or its language has no noun chunks.
    """
    pipeline = load(name)
    try:
        list(pipeline("a cat").noun_chunks)
    except (ValueError, NotImplementedError) as error:
        raise ModelError(
            f"the spaCy pipeline {name!r} finds no noun phrases", hint="take one with a parser, such as en_core_web_lg"
        ) from error
    return pipeline


class Facts(NamedTuple):
    """What says how far a pipeline's similarities can be trusted.

    Attributes:
        length: Of its word vectors; 0 where it has none.
        words: That have a vector.
        different: Vectors that they have.
    """

    length: int
    words: int
    different: int


def facts_of(config: PipelineConfig, context: Context) -> Facts:
    """Look at a pipeline's vectors, once a store; warn once if its similarities are not the published ones.

    Raises:
        ModelError: It can't be loaded.
    """
    key = content_key(["vectors of", config.fingerprint()])
    kept = context.recall(key) if context.recall is not None else None
    facts = Facts(*kept) if kept is not None else _looked_at(config.pipeline)
    if kept is None and context.remember is not None:
        context.remember(key, list(facts))
    if not facts.length:
        tell_of_no_vectors(config.pipeline)
    return facts


@cache
def tell_of_no_vectors(name: str) -> None:
    """Tell once that a pipeline's similarities are not the published ones."""
    notice(
        f"the spaCy pipeline {name!r} has no word vectors: similarities come from its context vectors and are not the "
        "published ones, which are en_core_web_lg's"
    )


def _looked_at(name: str) -> Facts:
    vocabulary = load(name).vocab
    rows = vocabulary.vectors.key2row
    return Facts(vocabulary.vectors_length, len(rows), len(set(rows.values())))


@cache
def tell_of_shared_vectors(name: str, facts: Facts) -> None:
    """Tell once if words of the pipeline share vectors, as in en_core_web_md: no threshold then tells them apart."""
    if facts.different < facts.words:
        notice(
            f"the spaCy pipeline {name!r} has {facts.different:,} vectors for {facts.words:,} words: different words "
            "can be equal, as 'dog' and 'cat' in en_core_web_md, and a threshold then means little; 0.7 is made for "
            "en_core_web_lg's"
        )
