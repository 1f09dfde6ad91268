"""The property table of every registered representation.

python -m pipeline.encoders              # a Markdown table
python -m pipeline.encoders --measure    # measure and rewrite costs.py (imports torch), nothing else
"""

from typing import Annotated

import typer

from pipeline.encoders.entry import EncoderInfo
from pipeline.encoders.registry import entry_of, list_encoders
from pipeline.encoders.weights import cached
from pipeline.stage import run

_HEAD = (
    "name",
    "architecture",
    "objective",
    "data",
    "images",
    "language",
    "temporal",
    "licence",
    "dim",
    "grid",
    "GFLOP",
    "M parameters",
)


def row(info: EncoderInfo) -> list[str]:
    """One representation's cells, in the table's order."""
    images = "" if info.images is None else f"{info.images:,}"
    grid = "" if info.grid is None else " x ".join(map(str, info.grid))
    return [
        " = ".join((info.name, *info.aliases)),
        info.architecture,
        info.objective,
        info.data,
        images,
        "yes" if info.language else "no",
        "yes" if info.temporal else "no",
        info.licence,
        str(info.dim or "the data's"),
        grid,
        str(info.gflop or ""),
        str(info.parameters or ""),
    ]


def table(with_weights: bool) -> str:
    """The whole table in Markdown, with a last column saying whether the weights are on this machine if `with_weights`."""
    lines = [[*_HEAD, *(["weights"] if with_weights else [])]]
    lines.append(["---"] * len(lines[0]))
    for info in list_encoders():
        entry = entry_of(info.name)
        here = "made here" if entry is None else "in the hub's cache" if with_weights and cached(entry.source) else "not here"
        lines.append([*row(info), *([here] if with_weights else [])])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main(measure: Annotated[bool, typer.Option("--measure")] = False) -> None:
    if measure:
        from pipeline.encoders.measure import write_costs

        write_costs([entry for info in list_encoders() if (entry := entry_of(info.name))])
        return
    typer.echo(table(with_weights=True))


if __name__ == "__main__":
    run(main)
