"""One input after the other, each known by the seed and its number alone."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from tests.fuzz.kinds import Kind, kinds
from tests.fuzz.rule import Case, Ending, Hang, complaint, end_of

SAME = 0.2
"""Share of the inputs that are another spelling of the sound files."""


class Campaign:
    """Inputs of a seed.

    Args:
        folder: Where to work.
        seed: Same seed, same inputs.
        only: One kind alone.
    """

    def __init__(self, folder: Path, seed: int, only: str | None = None) -> None:
        self._folder = folder
        self._seed = seed
        known = [kind for kind in kinds() if only in (None, kind.name)]
        self._turns = [kind for kind in known for _ in range(kind.share)]
        self._sound: dict[str, dict[str, bytes]] = {}
        self._undamaged: dict[tuple[str, int], Ending] = {}

    def folder(self, kind: Kind) -> Path:
        """Where the files of a kind lie."""
        return self._folder / kind.name

    def one(self, number: int) -> tuple[Kind, str, str | None]:
        """Make and run the input of a number.

        Returns:
            Its kind, how it ended, and what is wrong with that.
        """
        rng = random.Random(f"{self._seed}:{number}")
        kind = self._turns[rng.randrange(len(self._turns))]
        chosen = rng.randrange(len(kind.acts))
        self._restore(kind)
        undamaged = self._ending_of_sound(kind, chosen)
        file = rng.choice(list(kind.damage))
        form = kind.damage[file]
        same = form.same is not None and rng.random() < SAME
        content = self._sound[kind.name][file]
        spell = form.same if same and form.same is not None else form.broken
        (self.folder(kind) / file).write_bytes(spell(content, rng))
        case = self._case(kind, chosen, same=same)
        try:
            ending = end_of(case)
            wrong = complaint(case, ending, undamaged)
        except Hang as error:
            return kind, "hung", str(error)
        except Exception as error:  # a check that itself fell over the result
            return kind, "odd", f"the check failed: {type(error).__name__}: {error}"
        return kind, "same" if same else "refused" if ending.status else "read", wrong

    def _restore(self, kind: Kind) -> None:
        """Put the sound files back, and take away what the input before has left."""
        folder = self.folder(kind)
        if kind.name not in self._sound:
            folder.mkdir()
            kind.make(folder)
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            self._sound[kind.name] = {str(path.relative_to(folder)): path.read_bytes() for path in files}
        os.chdir(self._folder)
        shutil.rmtree(folder)
        for name, content in self._sound[kind.name].items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        os.chdir(folder)

    def _ending_of_sound(self, kind: Kind, chosen: int) -> Ending:
        """How the sound files end; they are read without complaint."""
        known = self._undamaged.get((kind.name, chosen))
        if known is None:
            case = self._case(kind, chosen, same=True)
            known = self._undamaged[kind.name, chosen] = end_of(case)
            wrong = complaint(case, known, known)
            if known.status or wrong:
                raise AssertionError(f"{kind.name}: the sound files do not pass: {wrong} {known.err}")
            self._restore(kind)
        return known

    def _case(self, kind: Kind, chosen: int, *, same: bool) -> Case:
        act = kind.acts[chosen]
        files = [Path(file).name for file in kind.damage]  # where two contradict each other either may be named
        return Case(act.run, (*files, *kind.names), same=same, check=act.check, loud=act.loud)
