"""A real study under real DVC in a repository of its own, on tiny settings."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.synthetic import ROOT, write_params


def tiny(values: dict[str, Any]) -> None:
    """Seconds a stage."""
    values["collect"].update(
        episode_steps=200,
        episodes={"random": 4, "medium": 2, "replay": 4, "expert": 2},
        validation={"random": 1, "medium": 1, "replay": 1, "expert": 1},
    )
    values["collect"]["sac"].update(steps=300, learning_starts=100, checkpoint_every=100, hidden=16, batch=32)
    values["render"].update(axes=["texture", "size"], severities=[0.5, 1.0], episodes_per_shard=4)
    values["render"]["train_looks"].update(axes=["color"], looks_per_severity=1)
    values["pretrain"]["autoencoder"].update(updates=20, batch=16, dim=8)
    values["train"].update(updates=20, checkpoint_every=10, batch=4, length=8, look_weights={"default": 3.0, "color": 1.0})
    values["train"]["rssm"].update(deter=32, hidden=32, stoch=4, classes=4, units=32)
    values["train"]["tdmpc2"].update(
        updates=20, batch=4, custom={"encoder": 16, "encoder_layers": 2, "latent": 16, "mlp": 16, "q": 2, "channels": 4}
    )
    values["evaluate"].update(horizon=3, long_starts=2, latents=50)
    values["finetune"].update(
        offline_updates=2,
        env_steps=200,
        envs=2,
        train_every=50,
        batch=4,
        length=8,
        imagine=3,
        eval_every=100,
        eval_episodes=2,
        eval_look_episodes=1,
    )
    values["report"].update(bootstrap=50)


def dvc(project: Path, *arguments: str, store: str = "store", check: bool = True) -> str:
    environment = os.environ | {
        "ENCORE_STORE": str(project / ".dvc" / store), "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=900
    )
    output = done.stdout + done.stderr
    assert not check or done.returncode == 0, output[-4000:]
    assert check or done.returncode != 0, output[-4000:]
    return output


def commit(project: Path, message: str) -> None:
    """Commit everything that git does not ignore."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["add", "-A"], ["commit", "--allow-empty", "-qm", message]):
        subprocess.run([*git, *command], cwd=project, check=True)


def make_project(root: Path, settings: Callable[[dict[str, Any]], None] = tiny) -> None:
    """A repository with the files of this one, its params.yaml changed by `settings`, and one finished `dvc repro`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/") and name != "dvc.lock":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    write_params(root, settings)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    commit(root, "start")
    dvc(root, "repro")
    commit(root, "ran")
