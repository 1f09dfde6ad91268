"""Renaming published tensors: prefixes, what to drop, and the layouts that several families share."""

import re
from collections.abc import Sequence

import torch

from pipeline.encoders.entry import State

_HF_BLOCK = (
    (r"attention\.attention\.query\.|self_attn\.q_proj\.", "attn.q."),
    (r"attention\.attention\.key\.|self_attn\.k_proj\.", "attn.k."),
    (r"attention\.attention\.value\.|self_attn\.v_proj\.", "attn.v."),
    (r"attention\.output\.dense\.|self_attn\.out_proj\.", "attn.proj."),
    (r"intermediate\.dense\.", "mlp.fc1."),
    (r"(?<!attention\.)output\.dense\.", "mlp.fc2."),
    (r"layernorm_before\.|layer_norm1\.", "norm1."),
    (r"layernorm_after\.|layer_norm2\.", "norm2."),
)


def under(state: State, prefix: str) -> State:
    """The tensors whose name starts with `prefix`, without it."""
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def stripped(state: State, prefix: str) -> State:
    """The tensors below `prefix`, or all of them where none is: for a wrapper that some of the published files lack."""
    return under(state, prefix) or state


def without(state: State, *patterns: str) -> State:
    """The tensors whose name matches none of the patterns (at its start)."""
    return {key: value for key, value in state.items() if not any(re.match(p, key) for p in patterns)}


def rename(state: State, rules: Sequence[tuple[str, str]]) -> State:
    """Every rule (pattern, replacement) applied to every name, in order."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def fuse_qkv(state: State) -> State:
    """`attn.q`, `attn.k`, `attn.v` of each block -> one `attn.qkv`, as timm holds them."""
    fused = {key: value for key, value in state.items() if not re.search(r"attn\.[qkv]\.", key)}
    for key in [key for key in state if ".attn.q." in key]:
        parts = [
            state[key.replace(".attn.q.", f".attn.{part}.")]
            for part in "qkv"
            if key.replace(".attn.q.", f".attn.{part}.") in state
        ]
        fused[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
    return fused


def from_transformers(state: State, blocks: str) -> State:
    """A transformers ViT's blocks (`{blocks}.N.`) under timm's names."""
    inside = rename(
        {k: v for k, v in state.items() if k.startswith(blocks + ".")}, ((f"^{re.escape(blocks)}\\.", "blocks."), *_HF_BLOCK)
    )
    return {k: v for k, v in state.items() if not k.startswith(blocks + ".")} | fuse_qkv(inside)
