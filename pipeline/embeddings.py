"""Look at stored embeddings, and clear out what nothing uses.

    python -m pipeline.embeddings inspect data/embeddings/cartpole_swingup/autoencoder
    python -m pipeline.embeddings inspect data/embeddings/cartpole_swingup/autoencoder --picture embeddings.png
    python -m pipeline.embeddings list
    python -m pipeline.embeddings prune --yes
    python -m pipeline.embeddings push s3://bucket/encore
    python -m pipeline.embeddings pull s3://bucket/encore

`inspect` verifies every checksum and tells what made each look's embeddings, their norms, dimensions that never change, values
that are not finite, and what rounding tokens to int8 has lost; the picture is their first two principal components, coloured by
reward. `list` shows the store's entries and whether an output of some project still holds them; `prune` removes those that none
does (without --yes it only says which). A removed entry is computed again when it is next asked for; outputs and DVC's cache keep
what they hold. `push` and `pull` share the store's entries through S3 or any other store that fsspec knows, each once; `encode`
then finds them. Credentials and endpoint are that store's own (`AWS_...`).
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipeline.log import log
from pipeline.stage import run_app, verbatim
from pipeline.work import hold, store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from datasets.embedding_quality import Quality
    from datasets.embeddings import Embeddings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=verbatim(__doc__ or ""))
_SHOWN = ["encoder", "weights_sha256", "layer", "pooling", "preprocessing", "pretrained_on", "dtype", "precision", "device"]
_SHOWN += ["batch", "threads", "frames_digest"]


@app.command()
def inspect(folder: Path, picture: Path | None = None) -> None:
    """Verify one encoder's embeddings of one task and describe them, look by look."""
    from numpy import nanmax, nanmean

    from datasets.embedding_quality import describe, describe_tokens
    from datasets.embedding_shards import HIDDEN, TOKENS
    from datasets.embeddings import arrays_of, load_embeddings, looks_of
    from datasets.manifest import read_manifest
    from datasets.tokens import StoredTokens

    files, looks = read_manifest(folder)["files"], looks_of(folder)
    for look in looks:
        stored = load_embeddings(folder, look)  # which verifies what it reads
        if look == looks[0]:
            print("\n".join(f"  {key}: {stored.attributes[key]}" for key in _SHOWN if stored.attributes.get(key) is not None))
            if picture:
                _save_components(picture, folder, stored)
        print(_line(look, describe(stored)))
        for name in sorted({TOKENS, HIDDEN} & set(arrays_of(folder, look))):
            tokens = StoredTokens(folder, look, name)
            lost = "" if tokens.error is None else f", int8 lost {nanmean(tokens.error):.2%} (at most {nanmax(tokens.error):.2%})"
            print(_line(f"{look} {name}", describe_tokens(tokens)) + lost)
    log(f"{folder}: {len(files)} files, {sum(entry['bytes'] for entry in files.values()) / 1e6:.1f} MB, every checksum holds")


def _save_components(picture: Path, folder: Path, stored: "Embeddings[NDArray[Any]]") -> None:
    import numpy as np
    import polars as pl

    from analysis.components import components_chart
    from datasets.embedding_quality import principal_components
    from datasets.trajectories import load_trajectories
    from pipeline.work import replacing

    look = stored.attributes["variant"]
    rows = stored.rows[np.linspace(0, len(stored.rows) - 1, min(len(stored.rows), 5000)).astype(np.int64)]
    first, second = principal_components(stored.values[rows]).T
    reward = load_trajectories(Path("data/trajectories") / folder.parent.name).reward[rows]
    chart = components_chart(pl.DataFrame({"first": first, "second": second, "reward": reward}), f"{folder.name}, look {look}")
    with replacing(picture) as temporary:
        chart.save(temporary, format="png", ppi=120)
    log(f"{picture}: the first two principal components of look {look}, coloured by reward")


def _line(look: str, found: "Quality") -> str:
    return (
        f"{look:>24}: {found.rows} rows of {'x'.join(map(str, found.shape))} {found.dtype}, norm {found.norm_mean:.3g} "
        f"({found.norm_least:.3g} to {found.norm_most:.3g}), {found.constant} constant dimensions, "
        f"{found.not_finite} rows not finite, {found.effective:.1f} effective dimensions"
    )


@app.command("list")
def list_entries() -> None:
    """Show the store's entries: what made them, their size, and whether an output still holds them."""
    from datasets.embedding_store import stored_entries

    total = unused = 0
    for folder, identity, size, used in stored_entries(store() / "embeddings"):
        at = identity.get("attributes", {})
        total, unused = total + size, unused + (0 if used else size)
        what = f"{at.get('task', '?')} {at.get('encoder', '?')} {at.get('variant', '?')}"
        print(f"{folder.name}  {size / 1e6:9.1f} MB  {'used' if used else 'UNUSED':6}  {what}")
    log(f"{store() / 'embeddings'}: {total / 1e6:.1f} MB, {unused / 1e6:.1f} MB of it held by no output")


@app.command()
def prune(yes: bool = False) -> None:
    """Remove the store's entries that no output holds."""
    from datasets.embedding_store import stored_entries

    root, freed = store() / "embeddings", 0
    for folder, _, size, used in stored_entries(root):
        if used:
            continue
        freed += size
        if yes:
            with hold(root / f"{folder.name}.lock", f"embeddings {folder.name}"):
                gone = folder.with_name(f".{folder.name}.removed")  # a kill on the way leaves no half an entry
                folder.rename(gone)
                shutil.rmtree(gone)
        print(f"{'removed' if yes else 'would remove'} {folder}")
    log(f"{freed / 1e6:.1f} MB {'freed' if yes else 'could be freed: add --yes'}")


@app.command()
def push(url: str) -> None:
    """Send the store's entries to an fsspec address, those that are not there."""
    from datasets.embedding_remote import Remote

    remote, root, sent = Remote(url), store() / "embeddings", 0
    for folder in sorted(path for path in root.glob("[!.]*") if path.is_dir()):
        with hold(root / f"{folder.name}.lock", f"embeddings {folder.name}"):
            size = sum(remote.push(folder))
        sent += size
        print(f"{folder.name}  {size / 1e6:9.1f} MB sent")
    log(f"{url}: {sent / 1e6:.1f} MB sent")


@app.command()
def pull(url: str) -> None:
    """Bring the entries at an fsspec address into the store, those that are not here."""
    from datasets.embedding_remote import Remote

    remote, root, brought = Remote(url), store() / "embeddings", 0
    for entry in remote.entries():
        with hold(root / f"{entry}.lock", f"embeddings {entry}"):
            size = sum(remote.pull(entry, root))
        brought += size
        print(f"{entry}  {size / 1e6:9.1f} MB brought")
    log(f"{url}: {brought / 1e6:.1f} MB brought")


if __name__ == "__main__":
    run_app(app)
