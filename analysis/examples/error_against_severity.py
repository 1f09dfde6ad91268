"""Filtering error against severity, a panel an axis, with intervals: error_against_severity.svg and .png.

python -m analysis.examples.error_against_severity
"""

import altair as alt
import polars as pl
import vl_convert

rows = pl.read_parquet("results/summary.parquet").filter(by="look", horizon=0).filter(pl.col("algorithm") != "none")
default = rows.filter(axis="default").drop("axis").join(rows.select("axis").unique(), how="cross")  # every line starts at 0
table = pl.concat([rows, default.select(rows.columns)]).filter(pl.col("axis") != "default").sort("encoder", "axis", "severity")
columns = ["encoder", "task", "algorithm", "axis", "severity", "mae", "mae_low", "mae_high"]
base = alt.Chart(alt.InlineData(table.select(columns).to_dicts())).encode(x="severity:Q", color="encoder:N")
lines = base.mark_line(point=True).encode(y=alt.Y("mae:Q", title="mean absolute error, reward a step"))
chart = (base.mark_errorband().encode(y="mae_low:Q", y2="mae_high:Q") + lines).facet(row="task:N", column="axis:N")
with open("error_against_severity.svg", "w") as svg, open("error_against_severity.png", "wb") as png:
    svg.write(vl_convert.vegalite_to_svg(chart.to_dict()))
    png.write(vl_convert.vegalite_to_png(chart.to_dict(), scale=2))
print(table.select(columns))
