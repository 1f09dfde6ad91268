"""Pictures of representations for the report: made once per sample, kept in the store."""

from pathlib import Path
from typing import TYPE_CHECKING

from datasets.manifest import digest_of, sha256_file
from pipeline.work import code_digest, replacing, store

if TYPE_CHECKING:
    import polars as pl

SAMPLE = "sample.parquet"


def picture(probe: Path, seed: int) -> "pl.DataFrame":
    """Places of the sampled frames in a plane (`analysis.manifold.plane`): encoder, task, episode, t, reward, x, y.

    Args:
        probe: a folder that `probe` wrote. seed: of UMAP's random choices.
    """
    import polars as pl

    from analysis import tables
    from analysis.manifold import plane

    key = digest_of({"sample": sha256_file(probe / SAMPLE), "seed": seed, "code": code_digest("analysis/manifold.py")})
    kept = store() / "manifold" / f"{key[:32]}.parquet"
    if not kept.is_file():
        sample = tables.scan_parts([probe / SAMPLE], tables.SAMPLE).collect()
        features = sample["feature"].list.to_array(len(sample["feature"][0])).to_numpy()
        places = plane(features, seed)
        table = sample.select("encoder", "task", "episode", "t", "reward").with_columns(
            x=pl.Series(places[:, 0]), y=pl.Series(places[:, 1])
        )
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as path:
            tables.write_table(table, path)
    return pl.read_parquet(kept)
