"""Keep learning curves: the evaluations of all fine-tuned agents here, with what they took, as one table to commit.

    python -m pipeline.publish                                  # into docs/results/online.parquet
    python -m pipeline.publish --out elsewhere/online.parquet

Columns: algorithm, encoder, task, seed, init (none or offline), preset, variant, axis, severity, split, env_steps (agent steps),
return (mean of the evaluation's episodes), wall_s (of the run up to there, as it shared the machine), hardware. Runs that are in
the table already and not here stay; one that is here takes the place of its older self.
"""

from pathlib import Path

from datasets.errors import UserError
from pipeline.acting import FROM_NOTHING, ONLINE
from pipeline.clock import read_clock
from pipeline.log import log
from pipeline.stage import run
from pipeline.work import replacing

RUN = ["algorithm", "encoder", "task", "seed", "init", "preset"]
COLUMNS = [*RUN, "variant", "axis", "severity", "split", "env_steps", "return", "wall_s", "hardware"]
PUBLISHED_ARMS = (ONLINE, FROM_NOTHING)  # the other never acts


def main(results: Path = Path("results/online"), out: Path = Path("docs/results/online.parquet")) -> None:
    import polars as pl

    made = []
    for table in sorted(results.glob("*/*/*/online.parquet")):
        own = pl.read_parquet(table).filter(pl.col("arm").is_in(PUBLISHED_ARMS))
        clock = read_clock(table.parent)
        if clock is None or own.is_empty():
            log(f"{table} is left out: " + ("it has no evaluations" if own.is_empty() else "what it took was not noted here"))
            continue
        schema = {"arm": pl.String, "seed": pl.Int64, "env_steps": pl.Int64, "wall_s": pl.Float64}
        times = pl.DataFrame(clock.rows, schema, orient="row")
        timed = own.join(times, on=["arm", "seed", "env_steps"], how="left")
        made.append(timed.with_columns(hardware=pl.lit(clock.hardware)).select(COLUMNS))
    if not made:
        raise UserError(f"{results} holds no agent that learned online; run `dvc repro` with finetune.env_steps above 0")
    new = pl.concat(made)
    if out.is_file():
        kept = pl.read_parquet(out).join(new.select(RUN).unique(), on=RUN, how="anti")
        new = pl.concat([kept, new])
    with replacing(out) as temporary:
        new.sort(*RUN, "env_steps", "variant").write_parquet(temporary)
    log(f"{out}: {new.select(RUN).unique().height} runs, {new.height} evaluations")


if __name__ == "__main__":
    run(main)
