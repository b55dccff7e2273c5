"""Find picture files by the names that people write: any extension, any case of it, folders or none."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pixcore.errors import DataError, nearest

_EXTENSIONS = frozenset(
    [
        "avif",
        "bmp",
        "dib",
        "gif",
        "j2k",
        "jfif",
        "jp2",
        "jpe",
        "jpeg",
        "jpg",
        "pbm",
        "pgm",
        "png",
        "pnm",
        "ppm",
        "tga",
        "tif",
        "tiff",
        "webp",
    ]
)


class PictureFolder:
    """The picture files below a folder, by name.

    A name may lack its extension or have another one, have it in capitals, begin with the folder's own name, or lack
    the folders that it lies in: whatever leaves one file alone. What ends like an extension may be part of a name:
    "a.jpg" is a.jpg.png before it is a.png. Accents count as equal however they are encoded.

    Args:
        folder: The folder; one that is not there holds nothing.
        what: What an error calls a file: "picture" or "mask".
        without: A folder whose files are none of these, though it may lie in this one.
    """

    def __init__(self, folder: Path, what: str, without: Path | None = None) -> None:
        self.folder, self._what = folder, what
        self.files = sorted(_pictures(folder, without if without is not None and without != folder else None))
        self._near: dict[str, list[str]] = {}
        for file in self.files:
            for key in _keys(file):
                self._near.setdefault(key, []).append(file)

    def find(self, name: str, *, anywhere: bool = True) -> str | None:
        """Find a file, given as a path from the folder; None where none is meant.

        Args:
            name: What it is called.
            anywhere: Whether a name without folders may be that of a file in one.

        Raises:
            DataError: Several may be meant.
        """
        said = name.strip().replace("\\", "/").removeprefix("./")
        for one in (said, said.removeprefix(f"{self.folder.name}/")):
            bare = [_bare(one)] if anywhere and "/" not in one else []
            for key in (_exact(one), _case(one), _whole(one), _stem(one), *bare):
                if (found := self._one(key, name)) is not None:
                    return found
        return None

    def find_stem(self, file: str) -> str | None:
        """Find the file that is called like another one but for their extensions; errors as of `find`."""
        return self._one(_stem(file), stem(file))

    def _one(self, key: str, name: str) -> str | None:
        found = list(dict.fromkeys(self._near.get(key, ())))
        if len(found) > 1:
            raise DataError(
                f"{self._what} {name!r} may be {' or '.join(found[:3])} of {self.folder}", hint="write its whole name"
            )
        return found[0] if found else None

    def need(self, name: str) -> str:
        """Find a file that has to be there.

        Raises:
            DataError: It is not, or several may be meant.
        """
        found = self.find(name)
        if found is None:
            raise DataError(f"{self.folder} has no {self._what} {name!r}", hint=nearest(name, self.files))
        return found


def stem(file: str) -> str:
    """Give a file's path from its folder without extension."""
    return str(PurePosixPath(file).with_suffix(""))


def _pictures(folder: Path, without: Path | None) -> Iterable[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".") and Path(root, one) != without]
        for file in files:
            if not file.startswith(".") and file.rpartition(".")[2].lower() in _EXTENSIONS:
                yield Path(root, file).relative_to(folder).as_posix()


def _keys(file: str) -> list[str]:
    """What a file may be asked for by; the first characters keep one way of asking apart from the next."""
    return [_exact(file), _case(file), _stem(file), _bare(PurePosixPath(file).name)]


def _exact(name: str) -> str:
    return "=" + unicodedata.normalize("NFC", name)


def _case(name: str) -> str:
    path = PurePosixPath(_exact(name))
    return "~" + str(path.with_suffix(path.suffix.lower()))


def _whole(name: str) -> str:
    """As a name that lacks its extension, even where it ends like one."""
    return "." + _exact(name)


def _stem(name: str) -> str:
    """Without an extension of pictures; a name such as "version 1.2" keeps its end."""
    exact = _exact(name)
    front, _, extension = exact.rpartition(".")
    return "." + (front if extension.lower() in _EXTENSIONS and front else exact)


def _bare(name: str) -> str:
    return "/" + _stem(name)
