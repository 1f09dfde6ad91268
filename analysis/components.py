"""A picture of embeddings: their first two principal components, coloured by reward."""

import altair as alt
import polars as pl


def components_chart(table: pl.DataFrame, title: str) -> alt.Chart:
    """Scatter of `first` against `second`, coloured by `reward`; one point a row of the table."""
    return (
        alt.Chart(alt.InlineData(table.to_dicts()), title=title, width=420, height=360)
        .mark_circle(size=12, opacity=0.5)
        .encode(
            x=alt.X("first:Q", title="first principal component"),
            y=alt.Y("second:Q", title="second principal component"),
            color=alt.Color("reward:Q", scale=alt.Scale(scheme="viridis")),
        )
    )
