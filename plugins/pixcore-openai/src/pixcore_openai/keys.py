"""Read the key from the environment or a private file, and let it go nowhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pixcore.errors import DataError, UserError
from pixcore.files import read_file

NO_KEY = "none"
"""What a server without keys is sent; the client insists on something."""

_SHORTEST = 8  # characters of a key

HOW_LOCAL = (
    "point it to a server of your own with base_url: http://localhost:8000/v1 (vLLM, transformers serve, llama.cpp) or "
    "http://localhost:11434/v1 (Ollama)"
)


def read_key(variable: str, file: Path | None, *, needed: bool) -> str:
    """Read the server's key.

    Args:
        variable: An environment variable.
        file: A file to read it from instead.
        needed: Whether the server asks for one.

    Returns:
        The key, or `NO_KEY`.

    Raises:
        UserError: It is needed and missing, what stands there is none, or others than its owner may read the file.
    """
    if file is not None:
        return _from_file(file)
    key = os.environ.get(variable, "").strip()
    if key and not _fits_a_header(key):
        raise UserError(f"{variable} holds no key", hint="expected one line with the key alone")
    if key:
        return key
    if needed:
        raise UserError(
            f"a language model is to be asked at OpenAI, and {variable} is not set",
            hint=f"set it, name a file with api_key_file:, or {HOW_LOCAL}",
        )
    return NO_KEY


def _from_file(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        text = read_file(file, "the key").decode("utf-8-sig").strip()
    except (DataError, OSError, UnicodeDecodeError) as error:
        cause = error.__cause__ if isinstance(error, DataError) else error
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else getattr(cause, "strerror", "no file")
        raise UserError(f"can't read the key from api_key_file: {file}: {reason}", hint="check the path") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(
            f"api_key_file: {file} has mode {stat.S_IMODE(mode):03o}: others may read the key",
            hint=f"chmod 600 {file}",
        )
    if not text or len(text.split()) != 1 or not _fits_a_header(text):
        raise UserError(f"api_key_file: {file} holds no key", hint="expected one line with the key alone")
    return text


def _fits_a_header(key: str) -> bool:
    """Whether a key can be sent: the client's error about one that can't be holds the whole of it."""
    return key.isascii() and key.isprintable()


def redact(text: str, key: str) -> str:
    """Take the key out of a text that comes from the server: some name it in their errors.

    What stands for a key where a server wants none, such as "x", is no secret, and may be a part of any answer.
    """
    return text.replace(key, "[key]") if len(key) >= _SHORTEST else text
