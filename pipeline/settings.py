"""In what the settings of several experiments differ."""

from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML, YAMLError

from datasets.errors import UserError

if TYPE_CHECKING:
    import polars as pl

Settings = dict[str, Any]  # dotted key -> value

# Ways to integrate a representation's features, with their value where the way is not taken.
INTEGRATION: Settings = {
    "train.loss.infonce": 0.0, "train.loss.barlow": 0.0, "train.adapter": "linear", "train.decoder": "embedding",
    "encode.tokens.after_block": None,
}  # fmt: skip
_OTHERS = ("seed", "collect.", "render.", "pretrain.", "encode.", "train.", "evaluate.", "finetune.")


def flat(text: str, source: str) -> Settings:
    """The content of a params.yaml by dotted keys.

    Raises:
        UserError: it is not YAML, or no mapping.
    """
    try:
        values = YAML(typ="safe").load(StringIO(text))
    except YAMLError:
        raise UserError(f"{source}: its params.yaml is not valid YAML") from None
    if not isinstance(values, dict):
        raise UserError(f"{source}: its params.yaml holds no parameters")
    return _flat(values, "")


def _flat(values: Mapping[str, Any], prefix: str) -> Settings:
    found: Settings = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def differing(settings: Mapping[str, Settings]) -> dict[str, Settings]:
    """Of each experiment, the values that are not the same in all."""
    keys = dict.fromkeys(key for own in settings.values() for key in own)
    varying = [key for key in keys if any(own.get(key) != next(iter(settings.values())).get(key) for own in settings.values())]
    return {name: {key: own.get(key) for key in varying} for name, own in settings.items()}


def integrations(owners: Mapping[str, str], settings: Mapping[str, Settings]) -> "pl.DataFrame":
    """Which representations were run with and without one of INTEGRATION, all else that models depend on being equal.

    Args:
        owners: label -> experiment (`analysis.shared.Shared.owners`).

    Returns:
        encoder, without (labels), option: as `analysis.claims.judge` takes it. PVRs only.
    """
    import polars as pl

    from analysis.claims.kinds import is_pre_trained
    from analysis.shared import base

    rows = []
    for label, own in owners.items():
        for other, theirs in owners.items():
            if base(label) != base(other) or label == other or not is_pre_trained(label):
                continue
            changed = _changed(settings.get(own, {}), settings.get(theirs, {}))
            if len(changed) == 1 and (key := changed[0]) in INTEGRATION and settings[theirs].get(key) == INTEGRATION[key]:
                rows.append((label, other, key.rpartition(".")[2]))
    return pl.DataFrame(rows, schema={"encoder": pl.String, "without": pl.String, "option": pl.String}, orient="row")


def _changed(own: Settings, other: Settings) -> list[str]:
    keys = dict.fromkeys([*own, *other])
    return [key for key in keys if key.startswith(_OTHERS) and own.get(key) != other.get(key)]
