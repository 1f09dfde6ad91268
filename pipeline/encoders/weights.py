"""Finding a published encoder's weights.

A local file, the Hugging Face hub's cache, the hub, or a line that says what to fetch.
"""

from pathlib import Path

from datasets.errors import UserError
from datasets.manifest import sha256_file
from pipeline.encoders.entry import EncoderInfo, Entry, Source

_ANSWER_S = 4.0  # the hub's first answer; past it the message below is more use than waiting


def find_weights(entry: Entry, weights: Path | None) -> Path:
    """The file of a registered encoder; see `find_file`."""
    return find_file(entry.info, entry.source, weights)


def find_file(info: EncoderInfo, source: Source, weights: Path | None) -> Path:
    """The file to load: `weights` itself, or the hub's copy, from its cache where it is there.

    `HF_HOME`, `HF_HUB_OFFLINE` and the hub's other settings are respected; the revision is pinned where it is known, and the
    download verified where its checksum is.

    Raises:
        UserError: no such file; or nothing to download from, no network, or a gated repository: with the file's name, its
            licence, where it comes from and where to put it. A download that is not the published file.
    """
    if weights is not None:
        if not weights.is_file():
            raise UserError(f"{weights}: no such weights file; {wanted(info, source)}")
        return weights
    if source.hub is None or source.hub_file is None:
        raise UserError(f"{info.name} has no file on the hub: {wanted(info, source)}")
    path = _from_hub(info, source, source.hub, source.hub_file)
    if source.hub_sha256 and not sha256_file(path).startswith(source.hub_sha256):
        raise UserError(
            f"{path}: not the published {source.hub}/{source.hub_file}: its sha256 is another; remove it and try again"
        )
    return path


def wanted(info: EncoderInfo, source: Source) -> str:
    """Which file an encoder needs, its licence, where it comes from and where to put it."""
    name = info.name
    hub = (
        f", or {source.hub_file} of {source.hub} on the Hugging Face hub" if source.hub and source.hub not in source.page else ""
    )
    return (
        f"{name} needs {source.file} (licence: {info.licence}) from {source.page}{hub}; save it anywhere and give its path "
        f"as weights.{name} in params.yaml, or as load_encoder({name!r}, weights=PATH)"
    )


def cached(source: Source) -> Path | None:
    """The hub's copy, if it is already on this machine."""
    from huggingface_hub import try_to_load_from_cache

    if source.hub is None or source.hub_file is None:
        return None
    found = try_to_load_from_cache(source.hub, source.hub_file, revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def is_published(entry: Entry, sha256: str) -> bool | None:
    """Whether a checksum is that of the published file; None where that is not known."""
    known = [digits for digits in (entry.source.sha256, entry.source.hub_sha256) if digits]
    return any(sha256.startswith(digits) for digits in known) if known else None


def _from_hub(info: EncoderInfo, source: Source, repository: str, file: str) -> Path:
    found = cached(source)
    if found is not None:
        return found
    from huggingface_hub import HfApi, hf_hub_download

    try:
        HfApi().repo_info(repository, revision=source.revision, timeout=_ANSWER_S)
        return Path(hf_hub_download(repository, file, revision=source.revision, etag_timeout=_ANSWER_S))
    except Exception as error:  # the hub's client raises many kinds: offline, unreachable, gated, gone
        reason = type(error).__name__
        raise UserError(
            f"{info.name}: {repository}/{file} cannot be had from the hub now ({reason}); {wanted(info, source)}"
        ) from None
