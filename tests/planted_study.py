"""A repository under real Git and DVC whose only stage makes up results in no time: what is tested is reading many of them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.analysis import planted
from tests.study import commit, dvc
from tests.synthetic import ROOT, write_params

FAILS, BETTER = "mae_vitb", "dino_vits16"
_SIZE = planted.Size(episodes=10, steps=30, short=3, long_starts=1, severities=(0.5, 1.0))
_STAGE = """stages:
  report:
    cmd: python make.py
    deps: [make.py]
    params: [encoder, train.updates, preset]
    outs:
      - results/reward_error.parquet
      - results/online.parquet
      - results/learning.parquet
      - results/looks.parquet
      - results/costs.parquet
    metrics: [metrics.json]
"""
_MAKE = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom tests.planted_study import make; make()\n"


def settings(values: dict[str, Any]) -> None:
    values["report"]["bootstrap"] = 50
    values["evaluate"]["horizon"] = _SIZE.short
    values["study"]["encoders"] = ["state", BETTER]


def make() -> None:
    """The stage: tables of the references and the selected encoder. More `train.updates` make `scratch` another."""
    import json

    import polars as pl

    from analysis.tables import COSTS, LOOKS, write_table
    from pipeline.params import load_params

    p = load_params()
    if p.encoder == FAILS:
        sys.exit(f"error: {FAILS} has no weights")
    chosen = ("state", "scratch", "random_cnn", "autoencoder", p.encoder)
    tables: dict[str, list[pl.DataFrame]] = {"reward_error": [], "online": [], "learning": []}
    for name in dict.fromkeys(chosen):
        as_ = {"encoder": pl.lit(name)}
        like = name if name in planted.FILTERING else "selected"
        seed = p.train.updates if name == "scratch" else 0
        tables["reward_error"].append(planted.reward_error(like, _SIZE, seed=seed).with_columns(**as_))
        tables["learning"].append(planted.learning(like, _SIZE).with_columns(**as_))
        if name in ("scratch", p.encoder):
            tables["online"].append(planted.online(name))
    Path("results").mkdir(exist_ok=True)
    for table, parts in tables.items():
        write_table(pl.concat(parts), Path(f"results/{table}.parquet"))
    write_table(pl.DataFrame(schema=LOOKS), Path("results/looks.parquet"))
    row = dict.fromkeys(COSTS, "") | {"out": f"models/{p.encoder}", "wall_s": 2.0, "cpu_s": 1.0, "bytes": 1000}
    write_table(pl.DataFrame([row], schema=COSTS), Path("results/costs.parquet"))
    Path("metrics.json").write_text(json.dumps({"selected": {"encoder": p.encoder, "filtering_r2": 0.9}}))


def make_repository(root: Path, change: Callable[[dict[str, Any]], None] = settings) -> None:
    """An empty project of that kind, committed, nothing run."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dvc.yaml").write_text(_STAGE)
    (root / "make.py").write_text(_MAKE)
    (root / ".gitignore").write_text("/results/\n/metrics.json\n/comparison/\n/store/\n/out*/\n")
    write_params(root, change)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    dvc(root, "init", "-q")
    dvc(root, "config", "core.analytics", "false")
    commit(root, "start")


def command(root: Path, module: str, *arguments: str) -> dict[str, Any]:
    """Of `python -m MODULE ...` in the project, as subprocess takes it."""
    environment = os.environ | {
        "ENCORE_STORE": str(root / "store"), "PYTHONPATH": str(ROOT), "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    return {"args": [sys.executable, "-m", module, *arguments], "cwd": root, "env": environment}


def run(root: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(**command(root, module, *arguments), capture_output=True, text=True, timeout=600)
