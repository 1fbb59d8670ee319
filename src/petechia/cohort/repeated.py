"""Several scans of one person, or many people of one site: GEE and mixed models."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp
from statsmodels.tools.numdiff import approx_hess3

from petechia.cohort.counts import count_regression
from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Fit, Floats, attempt
from petechia.cohort.fitting import fitted, refused, unfitted
from petechia.cohort.logistic import logistic_regression
from petechia.cohort.separation import blamed, emptying_direction, separating_direction
from petechia.core.logistic import expit
from petechia.errors import ParameterError

FAMILIES = ("poisson", "negative_binomial", "binomial", "gaussian")
CORRELATIONS = ("exchangeable", "independence")
MEASURES = {
    "poisson": "rate ratio",
    "negative_binomial": "rate ratio",
    "binomial": "odds ratio",
    "gaussian": "difference",
}
FEW_GROUPS, LEAST_GROUPS = 40, 5
FEW_IN_ONE = 20
"""Groups with one of a term's two values below which they are few, whatever the others are."""
N_NODES = 15


def gee(
    design: Design,
    family: str = "poisson",
    correlation: str = "exchangeable",
    level: float = 0.95,
) -> Fit:
    """Return population-average effects, robust to how scans of a group are correlated.

    Parameters
    ----------
    design : Design
        With `groups`: whose each row is.
    family : str
        One of `FAMILIES`.
    correlation : str
        'exchangeable' or 'independence': the working correlation within a group.
    level : float
        Of the intervals.

    Notes
    -----
    Where an exchangeable correlation does not converge, independence is taken, with a note: the
    errors hold all the same. Below 40 groups, and where fewer than 20 have one of a term's two
    values, the errors are bias-reduced (Mancl & DeRouen);
    Student's t of groups less coefficients always. Below 5 groups, or with no more groups than
    coefficients, there is no fit. The dispersion of the negative binomial is that of independent
    rows.

    References
    ----------
    .. [1] Liang & Zeger (1986), Biometrika 73, 13-22, doi:10.1093/biomet/73.1.13.
    .. [2] Mancl & DeRouen (2001), Biometrics 57, 126-134,
       doi:10.1111/j.0006-341X.2001.00126.x.
    """
    if family not in FAMILIES or correlation not in CORRELATIONS:
        raise ParameterError(
            f"family {family!r}, correlation {correlation!r}", where="gee",
            mend=f"Choose of {', '.join(FAMILIES)}; {', '.join(CORRELATIONS)}.",
        )  # fmt: skip
    model = f"GEE, {family.replace('_', ' ')}, {correlation} correlation"
    measure = MEASURES[family]
    groups, trouble = _grouped(design, model, measure, family)
    if trouble is not None:
        return trouble
    n_groups, k = int(groups.max()) + 1, design.x.shape[1]
    if n_groups < max(LEAST_GROUPS, k + 1):
        said = f"{n_groups} groups for {k} coefficients"
        return unfitted(design, model, measure, "too_few", said)
    z, back = design.standardised()
    told = np.unique(groups, return_index=True)[1]
    few = n_groups < FEW_GROUPS or bool(replace(design, x=design.x[told]).told_by_few(FEW_IN_ONE))
    made, heard = attempt(
        lambda: sm.GEE(
            design.y, z, groups=groups, offset=design.offset, family=_family(design, family),
            cov_struct=getattr(sm.cov_struct, correlation.capitalize())(),
        ).fit(maxiter=200, cov_type="bias_reduced" if few else "robust")
    )  # fmt: skip
    if (made is None or not made.converged) and correlation == "exchangeable":
        note = "with an exchangeable correlation it did not converge: independence, errors robust"
        return gee(replace(design, notes=(*design.notes, note)), family, "independence", level)
    if made is None or not made.converged:
        said = f"the iteration did not converge ({heard or 'no reason told'})"
        return unfitted(design, model, measure, "not_converged", said)
    dependence = np.atleast_1d(np.asarray(made.cov_struct.dep_params, dtype=np.float64))
    statistics = {"groups": float(n_groups)}
    if correlation == "exchangeable":
        statistics["correlation"] = float(dependence[0])
    notes = design.notes
    if few:
        notes = (*notes, f"{n_groups} groups: bias-reduced errors (Mancl & DeRouen)")
    return fitted(
        design, model, measure, [(n, "") for n in design.names], back @ made.params,
        back @ np.asarray(made.cov_params()) @ back.T, notes=notes, level=level, df=n_groups - k,
        statistics=statistics,
    )  # fmt: skip


def _family(design: Design, family: str) -> object:
    if family == "negative_binomial":
        alone = count_regression(design, "negative_binomial")
        alpha = alone.statistics.get("dispersion", 1.0) if alone.ok else 1.0
        return sm.families.NegativeBinomial(alpha=max(alpha, 1e-3))
    kinds = {"poisson": "Poisson", "binomial": "Binomial", "gaussian": "Gaussian"}
    return getattr(sm.families, kinds[family])()


def _grouped(
    design: Design, model: str, measure: str, family: str
) -> tuple[np.ndarray, Fit | None]:
    """Return group numbers, and why there is nothing to fit, if so."""
    if design.groups is None:
        raise ParameterError(
            "a design without groups", where=model, mend="Name the column of the person as `group`."
        )
    trouble = refused(design, model, measure, spare=2)
    if trouble is not None:
        return design.groups, trouble
    parted = ""
    if family != "gaussian":
        kind = separating_direction if family == "binomial" else emptying_direction
        parted = blamed(kind, design.x, design.y, design.names)
    if parted:
        said = f"{parted} foretells the outcome without fail: its estimate has no end"
        return design.groups, unfitted(design, model, measure, "separated", said)
    return design.groups, None


def mixed(design: Design, family: str = "poisson", level: float = 0.95) -> Fit:
    """Return effects within a group, with a random intercept for each.

    Parameters
    ----------
    design : Design
        With `groups`.
    family : str
        'gaussian' by REML (of log(1 + count), say); 'poisson' and 'binomial' by maximum
        likelihood with adaptive Gauss-Hermite quadrature (15 nodes).
    level : float
        Of the intervals.

    Notes
    -----
    Term 'group' of part 'spread' is the SD of the intercepts (on the link). At its bound 0 the
    model without groups is given, with a note. Student's t of groups less one. Odds ratios are
    those within a person, further from 1 than those of `gee`.

    References
    ----------
    .. [1] Pinheiro & Bates (1995), J. Comput. Graph. Stat. 4, 12-35, doi:10.2307/1390625.
    """
    if family not in ("gaussian", "poisson", "binomial"):
        raise ParameterError(
            f"family {family!r}", where="mixed", mend="Choose gaussian, poisson or binomial."
        )
    model = f"mixed model, {family}, random intercept"
    measure = MEASURES[family]
    groups, trouble = _grouped(design, model, measure, family)
    if trouble is not None:
        return trouble
    n_groups = int(groups.max()) + 1
    if n_groups < LEAST_GROUPS or n_groups == len(design.y):
        said = f"{n_groups} groups of {len(design.y)} rows"
        if family == "gaussian" or n_groups < LEAST_GROUPS:
            return unfitted(design, model, measure, "too_few", said)
    if family == "gaussian":
        return _linear(design, groups, model, level)
    return _quadrature(design, groups, model, family, level)


def _linear(design: Design, groups: np.ndarray, model: str, level: float) -> Fit:
    z, back = design.standardised()
    y, k = design.y - design.offset, z.shape[1]
    made, heard = None, ""
    for method in ("bfgs", "cg", "powell"):
        made, heard = attempt(
            lambda method=method: sm.MixedLM(y, z, groups).fit(reml=True, method=[method])  # type: ignore[misc]
        )
        if made is not None and made.converged:
            break
    if made is None or not made.converged:
        said = f"the iteration did not converge ({heard or 'no reason told'})"
        return unfitted(design, model, "difference", "not_converged", said)
    between, within = float(np.asarray(made.cov_re)[0, 0]), float(made.scale)
    spread = _generalised(z, groups, between, within)
    notes = design.notes
    if between < 1e-6 * within:
        notes = (*notes, "the intercepts of groups do not differ: their SD is at its bound 0")
    n_groups = int(groups.max()) + 1
    return fitted(
        design, model, "difference", [(n, "") for n in design.names],
        back @ np.asarray(made.fe_params)[:k], back @ spread @ back.T,
        notes=notes, level=level, df=n_groups - 1,
        statistics={
            "groups": float(n_groups), "group_sd": float(np.sqrt(between)),
            "residual_sd": float(np.sqrt(within)), "icc": between / (between + within),
        },
    )  # fmt: skip


def _generalised(z: Floats, groups: np.ndarray, between: float, within: float) -> Floats:
    """Return the covariance of generalised least squares with the variances given.

    It holds at the bound 0 too, where the Hessian of the variances does not exist.
    """
    n_groups = int(groups.max()) + 1
    sums = np.stack([np.bincount(groups, weights=c, minlength=n_groups) for c in z.T], axis=1)
    size = np.bincount(groups, minlength=n_groups)
    pull = between / (within * (within + size * between))
    told = np.linalg.pinv(z.T @ z / within - (sums * pull[:, None]).T @ sums)
    return np.asarray(told, dtype=np.float64)


def _quadrature(
    design: Design,
    groups: np.ndarray,
    model: str,
    family: str,
    level: float,
) -> Fit:
    z, back = design.standardised()
    k, n_groups = z.shape[1], int(groups.max()) + 1
    alone = (
        count_regression(design, "poisson", level)
        if family == "poisson"
        else logistic_regression(design, "none", level)
    )
    if not alone.ok:
        return alone
    first = np.linalg.solve(back, [term.coefficient for term in alone.terms])
    cost = _marginal(z, design.y, design.offset, groups, family)
    best, _ = attempt(
        lambda: minimize(
            cost,
            np.append(first, np.log(0.5)),
            method="BFGS",
            options={"gtol": 1e-4, "maxiter": 500},
        )
    )
    measure = MEASURES[family]
    if best is None or not (best.success or np.abs(best.jac).max() < 1e-2):
        return unfitted(design, model, measure, "not_converged", "the iteration did not converge")
    sd = float(np.exp(best.x[-1]))
    if sd < 1e-2:
        note = "the intercepts of groups do not differ: the model without groups is given"
        return _renamed(alone, model, (*alone.notes, note), n_groups)
    hessian = approx_hess3(best.x, cost)
    spread, _ = attempt(lambda: np.linalg.inv(hessian))
    if spread is None or (np.diag(spread) <= 0).any():
        return unfitted(design, model, measure, "singular", "the Hessian cannot be inverted")
    turn = np.zeros((k + 1, k + 1))
    turn[:k, :k], turn[k, k] = back, sd
    return fitted(
        design, model, measure, [*((n, "") for n in design.names), ("group", "spread")],
        np.append(back @ best.x[:k], sd), turn @ spread @ turn.T, level=level, df=n_groups - 1,
        log_likelihood=float(-best.fun), statistics={"groups": float(n_groups), "group_sd": sd},
    )  # fmt: skip


def _renamed(fit: Fit, model: str, notes: tuple[str, ...], n_groups: int) -> Fit:
    return replace(
        fit, model=model, notes=notes, statistics={"groups": float(n_groups), "group_sd": 0.0}
    )


def _marginal(
    z: Floats,
    y: Floats,
    offset: Floats,
    groups: np.ndarray,
    family: str,
) -> Callable[[Floats], float]:
    """Return minus the log-likelihood of (coefficients, log SD), the intercepts integrated out.

    Each group's integrand is met where it is: nodes are placed about its mode, as wide as it is.
    """
    n_groups = int(groups.max()) + 1
    nodes, weights = np.polynomial.hermite.hermgauss(N_NODES)
    constant = -gammaln(y + 1) if family == "poisson" else np.zeros_like(y)

    def summed(values: Floats) -> Floats:
        total: Floats = np.bincount(groups, weights=values, minlength=n_groups).astype(np.float64)
        return total

    def own(eta: Floats) -> tuple[Floats, Floats, Floats]:
        if family == "poisson":
            mu = np.exp(np.clip(eta, -50, 50))
            return y * eta - mu, y - mu, mu
        mu = expit(eta)
        return y * eta - np.logaddexp(0, eta), y - mu, mu * (1 - mu)

    def cost(at: Floats) -> float:
        sd = float(np.exp(np.clip(at[-1], -10, 4)))
        base = z @ at[:-1] + offset
        u = np.zeros(n_groups)
        for _ in range(30):
            _, slope, bend = own(base + sd * u[groups])
            step = (sd * summed(slope) - u) / (sd**2 * summed(bend) + 1)
            u = u + np.clip(step, -2, 2)
            if np.abs(step).max() < 1e-9:
                break
        width = 1 / np.sqrt(sd**2 * summed(own(base + sd * u[groups])[2]) + 1)
        logs = np.empty((N_NODES, n_groups))
        for n, node in enumerate(nodes):
            at_node = u + np.sqrt(2) * width * node
            told = summed(own(base + sd * at_node[groups])[0] + constant)
            logs[n] = np.log(weights[n]) + node**2 + told - at_node**2 / 2
        total = logsumexp(logs, axis=0) + np.log(np.sqrt(2) * width) - 0.5 * np.log(2 * np.pi)
        return -float(total.sum())

    return cost
