"""The command line: commands that plugins add, imported when called, and one place where errors become one line."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from pixcore import __version__, entries
from pixcore.errors import PixcoreError, describe, one_line
from pixcore.files import MAKE_ROOM, NO_ROOM, at_home, printable
from pixcore.notices import show_in_one_line
from pixcore.plugins import GuestKind, registry

_OF_A_PATH = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES)
"""What the system says of a path that can't be one, wherever a file, a config or an option named it."""


class _LazyGroup(click.Group):
    """The commands that the core and its plugins add, or those under one word; help imports none of them."""

    under = ""
    """The group's own word and a space; nothing for the first level."""

    def _lines(self) -> dict[str, str]:
        """What can be typed next, with its one line: a command's own, or what a group holds."""
        lines: dict[str, str] = {}
        for guest in registry().guests(GuestKind.COMMAND):
            if guest.name.startswith(self.under):
                word, _, rest = guest.name.removeprefix(self.under).partition(" ")
                lines[word] = f"{lines[word]}, {rest}" if word in lines else rest or guest.summary
        return lines

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self._lines())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if registry().has_command_group(self.under + name):
            group = _LazyGroup(name, help=f"Commands under {name!r}.")
            group.under = f"{name} "
            return group
        command: click.Command = registry().guest(GuestKind.COMMAND, self.under + name).loaded
        return command

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        words = [CompletionItem(word, help=line) for word, line in self._lines().items() if word.startswith(incomplete)]
        return [*words, *click.Command.shell_complete(self, context, incomplete)]

    def get_help(self, context: click.Context) -> str:
        text = super().get_help(context)
        if not self.under and not registry().failures:
            entries.remember(text)
        return text

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines().items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pixcore")
def cli() -> None:
    """Where does a multimodal LLM look when it says this, and can a mask be mined from it?

    Every command takes --traceback, which shows where an error came from.
    """


def main(given: Sequence[str]) -> None:
    """Run a command and exit: 0 when it did what was asked, 2 for a user's mistake, 1 for a failure of ours."""
    show_traceback = "--traceback" in given
    # pydantic looks for plugins of its own in every package's metadata, and one broken file would end every command
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    show_in_one_line()
    # shells put a home in place of ~ where a word begins, not in --option=~/file
    words = [re.sub("^(--[^=]+=|)(~.*)", lambda at: at[1] + at_home(at[2]), it) for it in given if it != "--traceback"]
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    try:
        status = cli.main(words, "pixcore", standalone_mode=False, color=False if plain else None)
    except (KeyboardInterrupt, click.Abort):
        # options before the command take no values, so the first other word is the command
        resumes = next((word for word in given if not word.startswith("-")), "") == "run"
        kept = "; what was computed is kept, and the same command goes on from there" if resumes else ""
        click.echo(f"stopped{kept}", err=True)
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "pixcore")
        _show(f"{error.format_message()} (see: {command} --help)", show_traceback)
        sys.exit(2)
    except PixcoreError as error:
        _show(str(error), show_traceback)
        sys.exit(error.exit_status)
    except BaseException as error:  # a plugin that exits, or a library of Rust that panics, has failed too
        nobody_reads = type(sys.stdout).__name__.endswith("PacifyFlushWrapper")  # click's, as it exits
        if nobody_reads or BrokenPipeError in (type(error), type(error.__context__)):  # rich exits on it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at the end goes nowhere
            sys.exit(1)
        if "_PIXCORE_COMPLETE" in os.environ:
            raise  # click answers a shell's completion, and exits
        if isinstance(error, OSError) and (error.errno in NO_ROOM or (error.filename and error.errno in _OF_A_PATH)):
            hint = MAKE_ROOM if error.errno in NO_ROOM else "check the path"
            _show(f"can't use {error.filename or 'the output'}: {error.strerror} ({hint})", show_traceback)
            sys.exit(2)
        _show(f"{describe(error)} (this is a failure of pixcore or a plugin; --traceback shows where)", show_traceback)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _show(line: str, show_traceback: bool) -> None:
    if show_traceback:
        traceback.print_exc()
    click.echo(f"error: {one_line(printable(line))}", err=True)
