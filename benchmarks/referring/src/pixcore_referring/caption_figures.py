"""METEOR and CIDEr of the captions of grounded conversations, by the package that GLaMM's release takes them from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib.util import find_spec

from pixcore.errors import DataError
from pixcore.figures.intervals import Cluster
from pixcore.figures.rows import Figure
from pixcore_referring.own_figures import Terms

_MOST = 10  # CIDEr-D of a caption that is the reference


def caption_of(text: str) -> str:
    """Take the tags out of an answer, as the release does before it compares.

    >>> caption_of("<p> A dog </p> [SEG] on <p> grass </p> [SEG].")
    'A dog on grass .'
    """
    return in_one_line(re.sub(r"<.*?>", "", text).replace("[SEG]", "")).strip("'").strip()


def in_one_line(text: str) -> str:
    r"""Write a text in one line: the tokenizer takes a line as a text, so that a break would shift all that follow.

    >>> in_one_line("A dog\r\non grass.")
    'A dog on grass.'
    """
    return " ".join(text.split())


def check_installed() -> None:
    """Look for what compares captions.

    Raises:
        DataError: pycocoevalcap or Java is not installed.
    """
    if find_spec("pycocoevalcap") is None:
        said, hint = "METEOR and CIDEr need pycocoevalcap", "pip install pixcore-referring[captions]"
        raise DataError(said, hint=hint)
    if shutil.which("java") is None:
        raise DataError("METEOR and CIDEr need Java: there is no `java`", hint="install a Java runtime, 8 or later")


def caption_figures(captions: Sequence[tuple[str, str]], clusters: Sequence[Cluster]) -> dict[str, Figure]:
    """Compare what was written of each image with its caption.

    Args:
        captions: Of each image its caption and the answer.
        clusters: What each image is drawn together with.

    Returns:
        METEOR and CIDEr, both times 100 as papers have them. CIDEr's interval takes how rare words are as given.

    Raises:
        DataError: pycocoevalcap or Java is not installed.
    """
    check_installed()
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    true, said = (
        PTBTokenizer().tokenize({image: [{"caption": text}] for image, text in enumerate(texts)})
        for texts in zip(*((in_one_line(true), caption_of(answer)) for true, answer in captions), strict=True)
    )
    meteor, _ = Meteor().compute_score(true, said)
    _, each = Cider().compute_score(true, said)
    cider = Terms("mean")
    for cluster, score in zip(clusters, each, strict=True):
        cider.add(cluster, float(score) / _MOST)
    return {"METEOR": Figure(100 * meteor, n=len(captions)), "CIDEr": cider.figure(whole=100 * _MOST)}
