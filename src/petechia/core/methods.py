"""The row of every method table: one published algorithm in words.

A family (unwrap, background, inversion, ...) is a folder with one module per algorithm and
`METHODS: dict[str, Method]` in its `__init__`. Command line, settings, documentation,
contract tests and benchmarks read the table. Rows load lazily: listing them imports none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, get_type_hints

from petechia.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row.

    Attributes
    ----------
    load : str
        "module:function".
    params : str
        Name of the frozen settings dataclass in the same module.
    needs : tuple of str
        Arguments the function takes by name, before `grid` and `params`:
        arrays (`field_ppm`, `phase_rad`, `magnitude`, `weights`, `mask`) and
        scan facts (`te_s`, `b0_t`).
    gives : tuple of str
        Names of what it returns, in order.
    summary : str
        One line for people.
    doi : str
        The paper.
    """

    load: str
    params: str
    needs: tuple[str, ...]
    gives: tuple[str, ...]
    summary: str
    doi: str

    def _named(self, name: str) -> Any:
        return getattr(import_module(self.load.partition(":")[0]), name)

    @property
    def run(self) -> Any:
        """The function itself: `run(**needs, grid=..., params=...)`."""
        return self._named(self.load.partition(":")[2])

    def settings(self, **given: Any) -> Any:
        """Return validated settings; `ParameterError` names an unknown or bad one."""
        kind = self._named(self.params)
        known = [f.name for f in fields(kind)]
        for name, value in given.items():
            if name not in known:
                raise ParameterError(
                    f"unknown setting {name} = {value!r}",
                    where=self.params,
                    mend=f"Known settings: {', '.join(known) or 'none'}.",
                )
            _require_kind(name, value, get_type_hints(kind)[name], self.params)
        return kind(**given)

    def __call__(
        self, available: Mapping[str, Any], *, grid: Any, settings: Any = None
    ) -> tuple[Any, ...]:
        """Run with what `needs` names out of `available`; always returns a tuple."""
        missing = [name for name in self.needs if name not in available]
        if missing:
            raise ParameterError(
                f"{self.load} needs {', '.join(missing)}",
                where="methods",
                mend=f"Give {', '.join(self.needs)}.",
            )
        arrays = {name: available[name] for name in self.needs}
        chosen = self.settings() if settings is None else settings
        result = self.run(**arrays, grid=grid, params=chosen)
        return result if isinstance(result, tuple) else (result,)


def _require_kind(name: str, value: Any, kind: Any, where: str) -> None:
    """Raise `ParameterError` when a setting is no number, whole number, yes-or-no or text."""
    allowed = {float: (float, int), int: (int,), bool: (bool,), str: (str,)}.get(kind)
    if allowed is None:
        return
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        told = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
        raise ParameterError(
            f"{name} = {value!r} is not {told[kind]}", where=where, mend="Correct the value."
        )


def choose(methods: Mapping[str, Method], name: str, where: str) -> Method:
    """Return the row `name`; `ParameterError` lists the rows when there is none."""
    try:
        return methods[name]
    except KeyError:
        raise ParameterError(
            f"no method {name!r}",
            where=where,
            mend=f"Choose one of {', '.join(sorted(methods))}.",
        ) from None
