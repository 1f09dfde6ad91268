"""Properties of encoders as numbers for a regression: architecture, data size and diversity, language, temporal, objective.

The table comes from the pipeline (of `EncoderInfo`: encoder, architecture, objective, data, images, language, temporal). Size,
language and temporal are its own; architecture, diversity and objective are read from its words by rules of ours, below.
"""

import polars as pl

# The first word that the text contains decides.
_DOMAINS = {
    "none": "none", "task": "task", "WIT": "web", "LAION": "web", "WebLI": "web", "LVD": "web", "DataComp": "web",
    "web images": "web", "VideoMix": "web", "Ego4D": "egocentric", "EpicKitchens": "egocentric",
    "Something-Something": "egocentric", "hand-object": "egocentric", "egocentric": "egocentric",
    "ImageNet": "objects", "Taskonomy": "indoor", "RGB-D": "indoor",
}  # fmt: skip
_OBJECTIVES = {
    "none": "none", "end to end": "none", "language-conditioned masked": "language", "image-text": "language",
    "language alignment": "language", "language-goal": "language", "distillation + masked": "self_distillation",
    "self-distillation": "self_distillation", "multi-teacher": "distilled", "masked latents": "masked_latents",
    "masked video latents": "masked_latents", "masked pixels": "pixels", "reconstruction": "pixels",
    "value": "value", "classification": "supervised", "supervised": "supervised", "keypoints": "supervised",
}  # fmt: skip


def coded(properties: pl.DataFrame) -> pl.DataFrame:
    """Covariates of each encoder.

    Returns:
        encoder, `vit` (else convolutional, or none), `images_log10` (null where the authors state no number), `language`,
        `temporal`, `domain` (web, egocentric, objects, indoor, task, none) and `web` (1: the open web, the most diverse data),
        `objective` (language, self_distillation, distilled, masked_latents, pixels, value, supervised, none) and one
        `objective_NAME` each. Words that no rule knows give null.
    """
    table = properties.select(
        "encoder",
        pl.col("architecture").str.contains("ViT", literal=True).cast(pl.Float64).alias("vit"),
        pl.col("images").cast(pl.Float64).log10().alias("images_log10"),
        pl.col("language", "temporal").cast(pl.Float64),
        _first(pl.col("data"), _DOMAINS).alias("domain"),
        _first(pl.col("objective"), _OBJECTIVES).alias("objective"),
    )
    objective = pl.col("objective")
    kinds = sorted(set(_OBJECTIVES.values()))
    return table.with_columns(
        (pl.col("domain") == "web").cast(pl.Float64).alias("web"),
        *((objective == kind).cast(pl.Float64).alias(f"objective_{kind}") for kind in kinds),
    )


def _first(text: pl.Expr, rules: dict[str, str]) -> pl.Expr:
    return pl.coalesce(pl.when(text.str.contains(word, literal=True)).then(pl.lit(kind)) for word, kind in rules.items())
