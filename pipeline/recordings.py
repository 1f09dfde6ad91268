"""Show an imagined rollout: what happened, the frames of the data nearest to what was imagined, true and predicted reward.

    python -m pipeline.recordings --task cartpole_swingup --encoder state --algorithm dreamerv3 --out state.gif

Reads what `evaluate` recorded (`results/parts`, docs/tables.md) and the task's frames. `--out`: .gif and .webp move; .png is one
picture of eight moments. `--seed`: of the models' seeds; the first if left out.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from datasets.errors import DataError, UserError
from datasets.manifest import verify
from pipeline.log import log
from pipeline.stage import run
from pipeline.work import replacing

if TYPE_CHECKING:
    import polars as pl

KINDS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}
PARTS = Path("results/parts")
_MILLISECONDS = 60  # an agent step of an animation


def main(task: str, encoder: str, algorithm: str, out: Path, seed: int | None = None) -> None:
    kind = KINDS.get(out.suffix.lower())
    if kind is None:
        raise UserError(f"--out {out}: ends in none of {', '.join(KINDS)}")
    own = _recording(PARTS / encoder / task / algorithm, seed)

    from PIL import Image

    from analysis.recordings import found, shown
    from pipeline.filmstrip import frames_at
    from pipeline.movie import animation, strip

    drawn = own if kind != "PNG" else own.filter(own["t"].is_in(shown(own)))
    true, near = drawn.select("episode", "t").rows(), found(drawn)
    folder = Path("data/frames") / task
    wanted = {at for at in (*true, *near) if at is not None}
    verify(folder)
    frames = frames_at(folder, wanted)
    if lacking := sorted(wanted - frames.keys()):
        raise DataError(f"{folder} has no frame of episode {lacking[0][0]}, step {lacking[0][1]}; run render again")
    pairs = [(frames[at], None if other is None else frames[other]) for at, other in zip(true, near, strict=True)]
    title = f"{encoder}, {algorithm}"
    with replacing(out) as path:
        if kind == "PNG":
            strip(pairs, own, drawn["t"].to_list(), title).save(path, format=kind)
        else:
            pictures = animation(pairs, own, title)
            if kind == "GIF":  # one palette, undithered: else every pixel would change from step to step
                palette = pictures[-1].quantize(256)
                pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
            how = {"lossless": True} if kind == "WEBP" else {}
            pictures[0].save(path, format=kind, save_all=True, append_images=pictures[1:], duration=_MILLISECONDS, loop=0, **how)
    log(f"{out}: episode {true[0][0]}, {len(pairs)} steps")


def _recording(part: Path, seed: int | None) -> "pl.DataFrame":
    """The rows of one model's first recorded episode, in order."""
    from analysis.recordings import first_rollout
    from analysis.tables import RECORDINGS, scan_parts

    if not part.is_dir():
        there = sorted("/".join(folder.parts[-3:]) for folder in PARTS.glob("*/*/*") if folder.is_dir())
        raise DataError(f"{part} is missing; there are {', '.join(there) or 'none'}; `dvc repro` makes them")
    verify(part)
    table = scan_parts([part / "recordings.parquet"], RECORDINGS).collect()
    seeds = sorted(table["seed"].unique())
    if seed is not None and seed not in seeds:
        raise UserError(f"--seed {seed}: {part} holds {', '.join(map(str, seeds))}")
    return first_rollout(table if seed is None else table.filter(seed=seed))


if __name__ == "__main__":
    run(main)
