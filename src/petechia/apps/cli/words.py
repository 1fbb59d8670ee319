"""From words on the command line to values: lists, positionals in any order, numbers."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from petechia.errors import ParameterError

LIST = "append"
"""An option with this action takes one or more words, commas or repeats."""


LEVELS = ("participant", "group")
"""Analysis levels, the third positional of a BIDS App."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong as the rest of the package does: in one message."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print below a page of usage."""
        raise ParameterError(message, where=self.prog, mend=f"See {self.prog} --help.")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Return the value of a word; an empty one is no value, and no path to where we are.

        Lists say themselves what they lack.
        """
        if not arg_string and not isinstance(action, argparse._AppendAction):
            raise ParameterError(
                "an empty word",
                where=action.option_strings[-1] if action.option_strings else action.dest.upper(),
                mend="Give a value; often a variable of the shell was not set.",
            )
        return super()._get_value(action, arg_string)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the values; an unknown word is told with the option it is nearest to."""
        from difflib import get_close_matches

        args, unknown = self.parse_known_args(words)
        if unknown:
            near = get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, 1)
            raise ParameterError(
                f"unknown words: {' '.join(unknown)}",
                where=self.prog,
                mend=f"Did you mean {near[0]}?" if near else f"See {self.prog} --help.",
            )
        return args


def several(n: int, one: str, more: str = "") -> str:
    """Return `1 scan`, `3 scans`; `more` is said of others than one."""
    return f"{n} {one if n == 1 else more or one + 's'}"


def count(word: str) -> int:
    """Return a whole number of 1 or more; for argparse."""
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number of 1 or more")
    return int(word)


def whole(word: str) -> int:
    """Return a whole number of 0 or more; for argparse."""
    if not word.isascii() or not word.isdigit() or len(word) > 9:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number of 0 or more")
    return int(word)


def seconds(word: str) -> float:
    """Return a time above 0 and of a day at most [s]; for argparse."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 86_400.0:
        raise argparse.ArgumentTypeError(f"{word!r} is not a time in seconds, above 0")
    return value


def settle(parser: argparse.ArgumentParser, argv: Sequence[str], n_positionals: int) -> list[str]:
    """Return `argv` with positionals first and every list option in `--option=a,b` form.

    A list option takes the words that follow it, but never those that the command needs
    as its positionals: in `run --participant-label 01 02 BIDS OUT` the last two are the
    dataset and the output.

    Parameters
    ----------
    parser : ArgumentParser
        Knows which options take a value and which a list.
    argv : sequence of str
        Words after the command.
    n_positionals : int
        How many positionals the command cannot do without.
    """
    kinds = {word: action for action in parser._actions for word in action.option_strings}
    positionals: list[str] = []
    options: list[str] = []
    groups: list[tuple[str, list[str]]] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        action = kinds.get(word)
        if word == "--":  # what follows is a place, whatever it begins with
            positionals += [f"./{word}" if word.startswith("-") else word for word in words]
            break
        if action is None:
            (options if word.startswith("-") and not _is_number(word) else positionals).append(word)
        elif action.nargs == 0:
            options.append(word)
        elif type(action).__name__ == "_AppendAction":
            taken: list[str] = []
            while words and (not words[0].startswith("-") or _is_number(words[0])):
                taken.append(words.pop(0))
            groups.append((word, taken))
        else:
            options.append(word)
            if words:
                options.append(words.pop(0))
    for _, taken in reversed(groups):
        missing = n_positionals - len(positionals)
        given_back = taken[max(1, len(taken) - max(0, missing) - _extra(taken)) :]
        positionals += given_back
        del taken[len(taken) - len(given_back) :]
    for name, taken in groups:
        options += [f"{name}={value}" for value in taken] or [name]
    return [*positionals, *options]


def _extra(taken: list[str]) -> int:
    """Return 1 when the words end with a BIDS-App analysis level."""
    return int(bool(taken) and taken[-1] in LEVELS)


def _is_number(word: str) -> bool:
    try:
        float(word.split(",")[0])
    except ValueError:
        return False
    return True


def items(values: Sequence[str] | None) -> list[str]:
    """Return the words of a list option, split at commas."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def require_named(args: argparse.Namespace, *lists: str) -> None:
    """Raise `ParameterError` for a list option that is given without anything in it.

    It would count as left out, which most often means all.
    """
    for name in lists:
        given = getattr(args, name)
        if given and not items(given):
            raise ParameterError(
                f"no {name.removesuffix('s').replace('_', ' ')} is named",
                where=f"--{name.replace('_', '-')}",
                mend="Name one, or leave the option out.",
            )


def numbers(values: Sequence[str] | None, option: str) -> tuple[float, ...]:
    """Return the numbers of a list option.

    Raises
    ------
    ParameterError
        If a word is not a number.
    """
    found = []
    for word in items(values):
        try:
            found.append(float(word))
        except ValueError:
            raise ParameterError(
                f"{word!r} is not a number",
                where=option,
                mend="Give numbers with commas between, e.g. 0.005,0.010,0.015.",
            ) from None
    return tuple(found)


def pairs(values: Sequence[str] | None, option: str) -> dict[str, object]:
    """Return `name=value` words as settings; values are TOML (numbers, true, "text")."""
    import tomllib

    found: dict[str, object] = {}
    for word in values or ():
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ParameterError(
                f"{word!r} is not name=value", where=option, mend="Write e.g. --set threshold=0.15."
            )
        try:
            value: object = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        if name.strip() in found:
            raise ParameterError(
                f"{name.strip()} is given twice", where=option, mend="Give each setting once."
            )
        found[name.strip()] = value
    return found
