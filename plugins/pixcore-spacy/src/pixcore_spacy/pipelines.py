"""Load spaCy pipelines, each once."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from pixcore.errors import ModelError
from pixcore.notices import notice

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
        # not by Path, which loses the "./" that tells a folder from a package
        return spacy.load(os.path.expanduser(name), exclude=list(_UNUSED))
    except OSError as error:
        installed = " | ".join(sorted(get_installed_models()))
        if Path(name).name != name or Path(name).exists():
            instead = f", or an installed pipeline: {installed}" if installed else ""
            raise ModelError(
                f"no spaCy pipeline can be read from {name!r}: {_first_line(error)}",
                hint=f"name the folder that holds the pipeline's meta.json and config.cfg{instead}",
            ) from error
        instead = f", or name an installed one: pipeline: {installed}" if installed else ""
        raise ModelError(
            f"the spaCy pipeline {name!r} is not installed", hint=f"python -m spacy download {name}{instead}"
        ) from error
    except (ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"the spaCy pipeline {name!r} can't be loaded: {_first_line(error)}",
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


@cache
def load_for_similarity(name: str) -> Any:
    """Load a pipeline; warn once if its similarities are not the published ones.

    Raises:
        ModelError: It can't be loaded.
    """
    pipeline = load(name)
    if not pipeline.vocab.vectors_length:
        notice(
            f"the spaCy pipeline {name!r} has no word vectors: similarities come from its context vectors and are not "
            "the published ones, which are en_core_web_lg's"
        )
    return pipeline


@cache
def tell_of_shared_vectors(name: str) -> None:
    """Tell once if words of the pipeline share vectors, as in en_core_web_md: no threshold then tells them apart."""
    vectors = load(name).vocab.vectors
    words, rows = len(vectors.key2row), len(set(vectors.key2row.values()))
    if rows < words:
        notice(
            f"the spaCy pipeline {name!r} has {rows:,} vectors for {words:,} words: different words can be equal, as "
            "'dog' and 'cat' in en_core_web_md, and a threshold then means little; 0.7 is made for en_core_web_lg's"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
