"""Linear mixed model y = X b + sum_k Z_k u_k + e with crossed random intercepts, by restricted maximum likelihood (REML).

The profiled criterion of Bates et al. 2015 (Fitting linear mixed-effects models using lme4, section 3.4). Written here because
statsmodels, which fits it too, brings pandas and three more, and judges few groups by the normal distribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize

from analysis.resample import Array
from analysis.statistics.draws import Ids

_LARGE = 1e3  # times the residual's standard deviation: beyond it the criterion drowns in rounding
_CLOSE = {"xatol": 1e-5, "fatol": 1e-9}  # numeric gradients alone stop early: one study in eighty was off


@dataclass(frozen=True)
class Fit:
    """Estimates.

    Attributes:
        effects: b, [P]. covariance: theirs, [P, P].
        variances: of each u_k, then of e.
    """

    effects: Array
    covariance: Array
    variances: Array


def fit(y: Array, x: Array, groups: Sequence[Ids]) -> Fit:
    """REML estimates.

    Args:
        y: [N]. x: [N, P], of full rank.
        groups: each int64 [N], from 0: which level of the factor a row belongs to.
    """
    z = np.concatenate([np.eye(group.max() + 1)[group] for group in groups], axis=1) if groups else np.zeros((len(y), 0))
    factor = np.concatenate([np.full(group.max() + 1, k) for k, group in enumerate(groups)] or [np.zeros(0, int)])
    freedom = len(y) - x.shape[1]

    def solved(theta: Array) -> tuple[float, float, Array, Array]:
        """Criterion, residual variance, effects, their unscaled covariance; theta: standard deviations of u_k over that of e."""
        scaled = z * theta[factor]
        lower = linalg.cholesky(scaled.T @ scaled + np.eye(z.shape[1]), lower=True)
        of_x, of_y = (linalg.solve_triangular(lower, scaled.T @ v, lower=True) for v in (x, y))
        upper = linalg.cholesky(x.T @ x - of_x.T @ of_x)
        right = linalg.solve_triangular(upper, x.T @ y - of_x.T @ of_y, trans="T")
        variance = max(float(y @ y - of_y @ of_y - right @ right), 1e-12 * float(y @ y)) / freedom
        inverse = linalg.solve_triangular(upper, np.eye(len(upper)))
        criterion = 2 * np.log(np.diag(lower)).sum() + 2 * np.log(np.diag(upper)).sum() + freedom * np.log(variance)
        return criterion, variance, inverse @ right, inverse @ inverse.T

    theta = np.ones(len(groups))
    if groups:
        bounds = [(0, _LARGE)] * len(groups)
        near = optimize.minimize(lambda t: solved(t)[0], theta, method="L-BFGS-B", bounds=bounds).x
        theta = optimize.minimize(lambda t: solved(t)[0], near, method="Nelder-Mead", bounds=bounds, options=_CLOSE).x
    _, variance, effects, covariance = solved(theta)
    return Fit(effects, variance * covariance, np.append(theta**2, 1) * variance)
