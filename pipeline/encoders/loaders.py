"""How each registered encoder is built from its weights."""

import difflib
from collections.abc import Callable
from pathlib import Path

from datasets.errors import UserError
from pipeline.encoders.base import Encoder, PublishedEncoder
from pipeline.encoders.checkpoint import load_into, load_weights
from pipeline.encoders.cnn import PREPROCESSING, RESAMPLE, ConvEncoder, random_network
from pipeline.encoders.containers import load_strictly, read_container, unwrap
from pipeline.encoders.entry import Entry
from pipeline.encoders.families.made_here import INFOS, VITS
from pipeline.encoders.networks.small_vit import PREPROCESS as VIT_PREPROCESS
from pipeline.encoders.networks.small_vit import SmallVit
from pipeline.encoders.networks.vit import UpperBlocks, Vit
from pipeline.encoders.registry import canonical, entry_of, info_of, selectable_names
from pipeline.encoders.weights import find_weights

RANDOM_VIT = {"width": 128, "depth": 4, "heads": 4}  # where no params.yaml says otherwise


def _random_cnn(name: str, weights: Path | None, device: str) -> Encoder:
    if weights is not None:
        return _in_domain(name, weights, device)
    info = info_of(name)
    assert info is not None and info.dim is not None
    dim = info.dim
    return Encoder(name, dim, random_network(dim, seed=0), RESAMPLE, PREPROCESSING, device)


def _in_domain(name: str, weights: Path | None, device: str) -> Encoder:
    if weights is None:
        raise _not_trained(name)
    config, state = load_weights(weights, name)
    network = ConvEncoder(config["dim"])
    load_into(network, state, weights)
    return Encoder(name, config["dim"], network, RESAMPLE, PREPROCESSING, device)


def _not_trained(name: str) -> UserError:
    return UserError(
        f"{name} is trained here, on frames of the study's tasks: pass weights=data/weights/TASK/{name}/weights.pt "
        f"(`python -m pipeline.pretrain --encoder {name} --task TASK` makes it)"
    )


def _vit(name: str, weights: Path | None, device: str) -> Encoder:
    if weights is not None:
        config, state = load_weights(weights, name)
        network = SmallVit(config["width"], config["depth"], config["heads"])
        load_into(network, state, weights)
    elif name == "random_vit":
        network = SmallVit(**RANDOM_VIT)
    else:
        raise _not_trained(name)
    encoder = PublishedEncoder(name, network.vit.embed_dim, network, VIT_PREPROCESS, device)
    encoder.preprocessing += "; less the mean image that the weights hold"
    return encoder


def _no_encoder(name: str, weights: Path | None, device: str) -> Encoder:
    info = info_of(name)
    observed = info is not None and info.stores == "observation"
    what = "the physics state itself" if observed else "a network trained with the world model, from raw frames"
    raise UserError(f"{name!r} is {what}, not a frozen encoder, so there is nothing to load")


_MADE_HERE: dict[str, Callable[[str, Path | None, str], Encoder]] = {
    **{info.name: _no_encoder for info in INFOS if info.stores != "embedding"},
    "random_cnn": _random_cnn,
    "autoencoder": _in_domain,
    **dict.fromkeys(VITS, _vit),
}


def published(
    entry: Entry, weights: Path | None, device: str, layer: int | None = None, pooling: str | None = None
) -> PublishedEncoder:
    """A published encoder, whole or cut after block `layer`, pooled as its authors do or as `pooling` says.

    Raises:
        UserError: the weights cannot be found or are not this encoder's; it has no such layer or pooling.
    """
    path = find_weights(entry, weights)
    network = entry.network()
    state = entry.keys(unwrap(read_container(path), entry.source.wrap, entry.source.bare, path), network)
    load_strictly(network.body, state, path, entry.info.name)
    return PublishedEncoder(entry.info.name, entry.info.dim or 0, network, entry.preprocess, device, layer, pooling)


def load_upper(name: str, block: int, weights: Path | None, device: str) -> UpperBlocks:
    """See `pipeline.encoders.load_upper`."""
    encoder = load(name, weights, device)
    network = encoder._network
    if not isinstance(network, Vit):
        raise UserError(f"{encoder.name} has no blocks of a ViT to cut between")
    return network.upper(block)


def load(name: str, weights: Path | None, device: str) -> Encoder:
    """See `pipeline.encoders.load_encoder`."""
    if entry := entry_of(name):
        return published(entry, weights, device)
    loader = _MADE_HERE.get(canonical(name))
    if loader is None:
        near = difflib.get_close_matches(name, selectable_names(), n=1)
        raise UserError(
            f"unknown encoder {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(selectable_names())}")
        )
    return loader(canonical(name), weights, device)
