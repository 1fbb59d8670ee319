"""Bootstrap by subject: scans, lesions and findings of one person stay together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.intervals import of_draws
from petechia.errors import ParameterError

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
NOTHING: Interval = (float("nan"), float("nan"))


def by_group(names: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the number of each name's group, from 0, in order of first appearance."""
    seen = {name: n for n, name in enumerate(dict.fromkeys(names))}
    return np.array([seen[name] for name in names], dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Resampling:
    """Draws of subjects with replacement, shared by every statistic of one evaluation.

    Attributes
    ----------
    draws : (B, S) ndarray of int
        How often each subject occurs in each draw.
    group : (N,) ndarray of int
        Subject of each row (scan) that statistics are made of.
    level : float
        Of the intervals, percentiles expanded for few subjects (`core.intervals.of_draws`).

    Notes
    -----
    With one subject there is nothing to resample: every interval is NaN. So it is where all
    that enters a statistic is of one subject, and where all subjects are alike (all found,
    nothing false): that no draw differs does not make it certain.
    """

    draws: npt.NDArray[np.int64]
    group: npt.NDArray[np.intp]
    level: float = 0.95

    @classmethod
    def of(
        cls, group: npt.NDArray[np.intp], rng: np.random.Generator, n_resamples: int = 2000
    ) -> "Resampling":
        """Draw `n_resamples` times as many subjects as there are."""
        if n_resamples < 1 or not len(group):
            raise ParameterError(
                f"{n_resamples} draws of {len(group)} rows",
                where="Resampling",
                mend="Give one scan or more, and a positive number of draws.",
            )
        n = int(group.max()) + 1
        return cls(rng.multinomial(n, np.full(n, 1 / n), size=n_resamples), group)

    def for_rows(self, row: npt.NDArray[np.intp]) -> "Resampling":
        """Return the same draws for rows that belong to scans `row`."""
        return Resampling(self.draws, self.group[row], self.level)

    def by_subject(self, values: Floats) -> Floats:
        """Return (S, ...) sums of rows of one subject."""
        out = np.zeros((self.draws.shape[1], *values.shape[1:]))
        np.add.at(out, self.group, values)
        return out

    def sums(self, values: Floats) -> Floats:
        """Return (B, ...) sums of `values` (N, ...) over the rows of each draw."""
        return np.asarray(self.draws @ self.by_subject(values), dtype=np.float64)

    def interval(self, drawn: Floats, enters: npt.NDArray[np.bool_] | None = None) -> Interval:
        """Return the interval of a statistic's draws, undefined ones left out.

        `enters` (N,) tells which rows the statistic is made of, all by default.
        """
        kept = drawn[np.isfinite(drawn)]
        rows = self.group if enters is None else self.group[enters]
        subjects = len(np.unique(rows))
        if subjects < 2 or not len(kept):
            return NOTHING
        low, high = of_draws(kept, subjects, self.level)
        return (low, high) if low < high else NOTHING

    def mean(self, values: Floats) -> tuple[float, float, float]:
        """Return the mean of the defined values and its interval."""
        good = np.isfinite(values)
        if not good.any():
            return (float("nan"), *NOTHING)
        pair = np.stack([np.where(good, values, 0.0), good.astype(float)], axis=1)
        above, below = self.sums(pair).T
        drawn = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
        return (float(values[good].mean()), *self.interval(drawn, good))

    def median(self, values: Floats) -> tuple[float, float, float]:
        """Return the median of the defined values and its interval."""
        return self.statistic(values, lambda v: float(np.median(v)))

    def statistic(
        self, values: npt.NDArray[np.float64], of: Callable[[Floats], float]
    ) -> tuple[float, float, float]:
        """Return any statistic of the rows (N,) or (N, k) that are defined, and its interval.

        `of` is called with rows repeated as often as their subject was drawn.
        """
        good = np.isfinite(values if values.ndim == 1 else values.sum(axis=1))
        if not good.any():
            return (float("nan"), *NOTHING)
        kept, times = values[good], self.draws[:, self.group[good]]
        drawn = [of(np.repeat(kept, t, axis=0)) if t.any() else np.nan for t in times]
        return (of(kept), *self.interval(np.array(drawn), good))
