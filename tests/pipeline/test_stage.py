"""How a stage answers: options from its signature, one line for a mistake, a light start."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthetic import ROOT, TASK

STAGES = ("collect", "render", "pool", "pretrain", "encode", "probe", "train", "evaluate", "finetune", "report")
HEAVY = ("torch", "dm_control", "mujoco", "stable_baselines3", "zarr", "altair", "scipy", "gymnasium", "transformers", "timm")

COMMAND = """
import errno, sys
from pathlib import Path
from datasets.errors import DataError, UserError
from pipeline.stage import run

def main(kind: str, count: int = 3, params: Path = Path("params.yaml")) -> None:
    print(kind, count, params)
    if kind == "user":
        raise UserError("what, where and what to do")
    if kind == "data":
        raise DataError("this file is cut short")
    if kind == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "some/file")
    if kind == "defect":
        raise ZeroDivisionError("a defect")

run(main)
"""


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def stage(name: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{name}", *arguments], cwd=cwd, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_parameters_become_options():
    done = command("--kind", "fine", "--count", "5", "--params", "other.yaml")
    assert (done.returncode, done.stdout) == (0, "fine 5 other.yaml\n")


@pytest.mark.parametrize(
    ("kind", "line"), [("user", "error: what, where and what to do"), ("data", "error: this file is cut short")]
)
def test_a_users_mistake_is_one_line_and_status_1(kind: str, line: str):
    done = command("--kind", kind)
    assert (done.returncode, done.stderr) == (1, line + "\n")


def test_a_full_disk_is_one_line_and_status_1():
    done = command("--kind", "full")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no space left" in done.stderr
    assert "some/file" in done.stderr


def test_a_defect_keeps_its_traceback():
    done = command("--kind", "defect")
    assert done.returncode not in (0, 2)
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--kind",), ("--kind", "fine", "--count", "x"), ("--knd", "fine")])
def test_a_wrong_command_line_is_explained_with_status_2(arguments: tuple[str, ...]):
    done = command(*arguments)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", STAGES)
def test_help_says_what_the_stage_does_and_starts_light(name: str):
    code = (
        f"import runpy, sys; sys.argv = ['{name}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('pipeline.{name}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--params" in done.stdout
    assert done.stdout.endswith("LOADED []\n"), done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", STAGES)
def test_wrong_params_stop_every_stage_before_it_works(name: str, params_file, tmp_path: Path):
    path = params_file({"seed": -1})
    needs = {
        "collect": ["--task", TASK], "render": ["--task", TASK], "pretrain": ["--encoder", "state", "--task", TASK],
        "encode": ["--encoder", "state", "--task", TASK], "probe": ["--encoder", "state", "--task", TASK],
        "report": [], "pool": [],
    }  # fmt: skip
    arguments = needs.get(name, ["--encoder", "state", "--task", TASK, "--algorithm", "dreamerv3"])
    done = stage(name, *arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: params.yaml: seed")
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "something was written"
