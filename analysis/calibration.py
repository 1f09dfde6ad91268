"""Whether a predicted reward means what it says: the regression of the reward on its prediction (Mincer and Zarnowitz 1969).

Slope 1 and intercept 0 are calibrated; a slope below 1 says that high predictions are too high and low ones too low.
"""

from analysis.figure import Figure, Sums
from analysis.gathered import Gathered
from analysis.resample import Array

FLAT = 1e-9  # a sum of squares this small beside its own parts is rounding: nothing varies
STATISTICS = ("r", "p", "pp", "rp")


def terms(rows: Gathered) -> dict[str, Array]:
    """Reward, prediction, its square, and their product; [N] each."""
    reward, predicted = rows.reward.astype("f8"), rows.predicted.astype("f8")
    return {"r": reward, "p": predicted, "pp": predicted**2, "rp": reward * predicted}


def slope(sums: Sums) -> Array:
    """Covariance of reward and prediction over the predictions' variance; nan where they do not vary."""
    spread = sums["pp"] - sums["p"] ** 2 / sums["n"]
    value = (sums["rp"] - sums["r"] * sums["p"] / sums["n"]) / spread
    value[spread <= FLAT * sums["pp"]] = float("nan")
    return value


def intercept(sums: Sums) -> Array:
    """Mean reward less `slope` times the mean prediction, in reward a step."""
    return (sums["r"] - slope(sums) * sums["p"]) / sums["n"]


FIGURES = {"calibration_slope": Figure(slope), "calibration_intercept": Figure(intercept)}
