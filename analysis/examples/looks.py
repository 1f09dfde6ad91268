"""What the severities do to the pictures: means over tasks and draws, by axis and severity.

python -m analysis.examples.looks                                            # of the last report
python -m analysis.examples.looks data/frames/*/look_statistics.parquet      # straight from the rendered frames
"""

import sys

import polars as pl

files = sys.argv[1:] or ["results/looks.parquet"]
table = pl.concat([pl.read_parquet(file) for file in files]).filter(pl.col("split") == "ood")
means = table.group_by("axis", "severity").agg(
    pl.col("pixel_change", "perceptual_change").mean(),
    pl.col("body_visible", "body_contrast").min(),
    pl.col("task").n_unique().alias("tasks"),
)
with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_formatting="ASCII_MARKDOWN", tbl_hide_column_data_types=True, float_precision=3):
    print(means.sort("axis", "severity"))
