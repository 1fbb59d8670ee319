"""The language a report speaks: English texts, and their Chinese from one catalogue.

The English text is its own name: `t("Findings")` is "Findings" in English, and what
`texts.toml` says in Chinese. What a scan brings along (checks, evidence, warnings) is English
text of the pipeline: `said` knows its patterns, and leaves what it does not know in English.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.resources import files

from petechia.errors import ParameterError

LANGUAGES = {"en": "en", "zh": "zh-Hans"}
"""Languages by the name of the option, and by their name in HTML."""

_SPOKEN: ContextVar[str] = ContextVar("language", default="en")


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Make `t` and `said` speak `language` inside the block.

    Raises
    ------
    ParameterError
        If it is not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise ParameterError(
            f"no texts in {language!r}",
            where="report language",
            mend=f"Choose one of {', '.join(LANGUAGES)}.",
        )
    before = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(before)


def spoken() -> str:
    """Return the language that is spoken now."""
    return _SPOKEN.get()


def t(text: str, **values: object) -> str:
    """Return a text of the report, its `{names}` filled in."""
    found = text if spoken() == "en" else catalogue().get(text, text)
    return found.format(**values) if values else found


def listed(words: Iterable[str]) -> str:
    """Return `one, another`."""
    return t(", ").join(words)


def clauses(parts: Iterable[str]) -> str:
    """Return `one clause; another`."""
    return t("; ").join(parts)


def pair(name: str, value: object) -> str:
    """Return `name: value`."""
    return t("{name}: {value}", name=name, value=value)


def said(text: object) -> str:
    """Return a sentence of the pipeline; English where no pattern of the catalogue fits.

    Sentences and clauses parted by "; " are looked up one by one.
    """
    whole = str(text)
    if spoken() == "en" or not whole:
        return whole
    known = _matched(whole)
    if known is not None:
        return known
    for mark, joined in (("; ", "\N{FULLWIDTH SEMICOLON}"), (". ", "\N{IDEOGRAPHIC FULL STOP}")):
        parts = whole.split(mark)
        if len(parts) > 1:
            return joined.join(said(part).removesuffix(joined) for part in parts)
    return whole


def _matched(text: str) -> str | None:
    exact = catalogue().get(text) or catalogue().get(text + ".")
    if exact is not None:
        return exact
    for pattern, chinese in patterns():
        if found := pattern.fullmatch(text):
            return chinese.format(*(_matched(part) or part for part in found.groups()))
    return None


_GAP = r"((?:(?!; |\. ).)+?)"
"""What a place of a pattern may hold: no end of a clause or sentence."""


@lru_cache(maxsize=1)
def catalogue() -> dict[str, str]:
    """Return Chinese by English."""
    content = files("petechia.report").joinpath("texts.toml").read_text(encoding="utf-8")
    found: dict[str, str] = tomllib.loads(content)["zh"]
    return found


@lru_cache(maxsize=1)
def patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the entries with an unnamed `{}`: what stands there is taken over, in order."""
    made = []
    for english, chinese in catalogue().items():
        if "{}" in english:
            parts = [re.escape(part) for part in english.split("{}")]
            made.append((re.compile(_GAP.join(parts), re.DOTALL), chinese))
    return tuple(made)
