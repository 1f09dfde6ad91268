"""Keep the tensors of a checkpoint that cannot be read safely, and nothing else.

    python -m pipeline.encoders.convert radio-v2.5-b_half.pth.tar radio-v2.5-b.pt

Some upstream files (RADIO's) pickle settings objects of other libraries beside their weights, which `weights_only` refuses.
Here every name that torch does not know stands for an inert placeholder: nothing of the file is imported or executed, the
placeholders are dropped, and dicts, lists and tensors are written to a new file that every encoder can read.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from datasets.errors import UserError
from pipeline.stage import run


class Placeholder:
    """Stands for whatever class or function a pickle names; takes anything, does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def main(
    source: Annotated[Path, typer.Argument(help="the file as downloaded")],
    target: Annotated[Path, typer.Argument(help="the file to write")],
) -> None:
    import torch

    from datasets.manifest import sha256_file

    if target.exists():
        raise UserError(f"{target} exists already; choose another name")
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(source)
        stand_ins = [(type(f"Placeholder{n}", (Placeholder,), {}), name) for n, name in enumerate(names)]
        with torch.serialization.safe_globals(stand_ins):  # type: ignore[arg-type]
            held = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no torch checkpoint fails in many ways
        raise UserError(f"{source}: not a torch checkpoint whose tensors can be kept: {reason_of(error)}") from None
    kept = tensors_of(held)
    if not kept:
        raise UserError(f"{source}: holds no tensors")
    temporary = target.with_name(target.name + ".tmp")
    torch.save(kept, temporary)
    temporary.replace(target)
    dropped = ", ".join(names) or "no other library"
    typer.echo(
        f"{target}: {', '.join(map(str, list(kept)[:8]))}; dropped objects of {dropped}; from sha256 {sha256_file(source)}"
    )


def reason_of(error: Exception) -> str:
    """What torch says, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    after = [n for n, line in enumerate(lines) if "WeightsUnpickler error" in line]
    line = lines[after[0]].partition("WeightsUnpickler error:")[2].strip() if after else lines[0]
    return (line or lines[after[0] + 1])[:160]


def tensors_of(held: Any) -> Any:
    """The part of a checkpoint that is tensors, in the dicts that hold them; None where there are none."""
    import torch

    if isinstance(held, torch.Tensor):
        return held
    if isinstance(held, dict):
        kept = {key: value for key, item in held.items() if isinstance(key, str) and (value := tensors_of(item)) is not None}
        return kept or None
    return None


if __name__ == "__main__":
    run(main)
