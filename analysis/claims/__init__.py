"""What the tables say of each claim: a test, an estimate with its interval, and a verdict.

`effects` (stated beforehand), `runs` (what a run is judged by), `contrasts` and `correlated` (estimates) serve `study` (claims of
arXiv 2411.10175) and `follow_ups` (what it left open, and ours). docs/study.md has them in words.
"""

import polars as pl

from analysis.claims import follow_ups, study
from analysis.claims.effects import Effects
from analysis.resample import Resampling
from analysis.statistics.multiple import corrected

CLAIMS = {
    "id": pl.String(), "claim": pl.String(), "source": pl.String(), "test": pl.String(), "effect_that_counts": pl.Float64(),
    "unit": pl.String(), "estimate": pl.Float64(), "low": pl.Float64(), "high": pl.Float64(), "p": pl.Float64(),
    "p_adjusted": pl.Float64(), "encoders": pl.Int64(), "tasks": pl.Int64(), "seeds": pl.Int64(), "verdict": pl.String(),
    "note": pl.String(),
}  # fmt: skip


def judge(
    sums: pl.DataFrame,
    online: pl.DataFrame,
    how: Resampling,
    effects: Effects,
    *,
    dynamics: pl.DataFrame | None = None,
    properties: pl.DataFrame | None = None,
    options: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Judge every claim. What data lack is said in `note`; it is never an error.

    Args:
        sums: `sums.episode_sums` of the reward errors.
        online: returns (`tables.ONLINE`).
        dynamics: encoder, algorithm, seed, task, axis, metric, n, value, ...: errors of predicted dynamics.
        properties: encoder, architecture, objective, data, images, language, temporal (`statistics.properties`).
        options: encoder, without, option: which labels are one representation's runs with and without an option.

    Returns:
        Rows of CLAIMS, by id. `effect_that_counts`, `estimate`, `low` and `high` are in `unit`. `p` is that of no effect, null
        where undefined; `p_adjusted` is corrected for all rows that have one. A claim of an effect is supported only if that is
        below 1 - confidence, too.
    """
    rows = [
        *study.data_efficiency(sums, online, how, effects),
        study.out_of_distribution(sums, how, effects),
        *study.returns_and_errors(sums, online, dynamics, how, effects),
        *study.properties_that_help(sums, properties, how, effects),
        follow_ups.model_free(sums, online, how, effects),
        *follow_ups.integration(sums, options, how, effects),
        *follow_ups.severity(sums, how, effects),
    ]
    table = pl.DataFrame(rows, schema=CLAIMS, orient="row")
    column = {"holm": "p_holm", "benjamini_hochberg": "p_bh"}[effects.correction]
    table = corrected(table).with_columns(p_adjusted=column).select(*CLAIMS)
    unlikely = (pl.col("p_adjusted") > 1 - how.confidence) & (pl.col("verdict") == "supported") & _asserts_an_effect()
    return table.with_columns(
        verdict=pl.when(unlikely).then(pl.lit("undecided")).otherwise("verdict"),
        note=pl.when(unlikely).then(pl.lit("not after correction for the number of claims")).otherwise("note"),
    )


def _asserts_an_effect() -> pl.Expr:
    """Whether no effect at all would refute the claim: it lies on the estimate's other side of the least effect that counts."""
    none = pl.when(pl.col("unit").str.starts_with("×")).then(1.0).otherwise(0.0)
    return (none - pl.col("effect_that_counts")) * (pl.col("estimate") - pl.col("effect_that_counts")) < 0


__all__ = ["CLAIMS", "Effects", "judge"]
