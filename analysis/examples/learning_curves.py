"""Draw learning curves: every algorithm, task and representation, with and without an offline start: learning_curves.svg.

    python -m analysis.examples.learning_curves
    python -m analysis.examples.learning_curves docs/results/online.parquet docs/results/online.svg   # those that were kept

Line: mean over seeds; band: lowest to highest seed; each under the default look. Prints where every curve ended.
"""

import sys
from pathlib import Path

import altair as alt
import polars as pl
import vl_convert

table, out = sys.argv[1:3] if len(sys.argv) > 2 else ("results/online.parquet", "learning_curves.svg")
rows = pl.read_parquet(table).filter(axis="default")
rows = rows.filter(pl.col("arm") != "offline_only") if "arm" in rows.columns else rows
keys = ["task", "algorithm", "encoder", "init", "env_steps"]
curves = (
    rows.group_by(keys)
    .agg(pl.col("return").mean(), low=pl.col("return").min(), high=pl.col("return").max(), seeds=pl.col("seed").n_unique())
    .sort(keys)
)
last = curves.group_by(keys[:-1], maintain_order=True).last()
with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=0):
    print(last.select(*keys, "seeds", "return", "low", "high"))
x, y = alt.X("env_steps:Q", title="agent steps online"), alt.Y("return:Q", title="episode return", scale=alt.Scale(zero=True))
starts = ["offline", "none"]
start = alt.Color("init:N", title="started from", scale=alt.Scale(domain=starts, range=["#0072B2", "#D55E00"]))
dash = alt.StrokeDash("init:N", legend=None, scale=alt.Scale(domain=starts, range=[[1, 0], [5, 3]]))
titled = curves.with_columns(cell=pl.format("{}, {}, {}", "task", "algorithm", "encoder"))
base = alt.Chart(alt.InlineData(values=titled.to_dicts())).encode(x=x, color=start)
band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="episode return"), y2="high:Q")
line = base.mark_line(point=True).encode(y=y, strokeDash=dash)
chart = (
    (band + line)
    .properties(width=260, height=180)
    .facet(alt.Facet("cell:N", title=None), columns=2)
    .resolve_scale(x="independent")
)
Path(out).write_text(vl_convert.vegalite_to_svg(chart.to_dict()))
