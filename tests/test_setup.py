"""What a fresh machine meets first: presets, pins, the set-up script and its one-line refusals."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.synthetic import PRESETS, ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that set-up needs, without .venv."""
    for name in (
        "Makefile",
        "scripts",
        "presets",
        "pipeline/sim",
        "datasets",
        "pyproject.toml",
        "constraints.txt",
        "params.yaml",
    ):
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    (tmp_path / "clone" / "pipeline" / "__init__.py").touch()
    return tmp_path / "clone"


def make(clone: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """A PATH without Python and without a package manager, so that nothing can be installed."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "sh", "cat", "cksum", "dirname", "env", "rm", "touch"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    return {"PATH": str(tools)}


def set_up(clone: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["scripts/setup.sh"], cwd=clone, env=environment, capture_output=True, text=True, timeout=120)


def with_dependencies(clone: Path) -> None:
    """A .venv whose dependencies are installed and up to date: this interpreter's."""
    (clone / ".venv" / "bin").mkdir(parents=True)
    python = clone / ".venv" / "bin" / "python"
    python.write_text(f'#!{shutil.which("bash")}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    command = "cat pyproject.toml constraints.txt | cksum"
    stamp = subprocess.run(command, shell=True, cwd=clone, capture_output=True, text=True, check=True).stdout
    (clone / ".venv" / "encore-dependencies").write_text(stamp)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_replaces_params_yaml(clone, name):
    assert make(clone, "preset", f"NAME={name}").returncode == 0
    assert (clone / "params.yaml").read_bytes() == (ROOT / "presets" / f"{name}.yaml").read_bytes()


@pytest.mark.parametrize("arguments", [["NAME=papre"], []])
def test_an_unknown_preset_is_one_line_that_lists_them(clone, arguments):
    done = make(clone, "preset", *arguments)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1
    assert lines[0].endswith("NAME=" + "|".join(PRESETS))
    assert (clone / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_no_suitable_python_is_one_line(clone, bare):
    done = set_up(clone, bare)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Python 3.11 or 3.12")
    assert done.stderr.count("\n") == 1
    assert not (clone / ".venv").exists()


def test_no_opengl_is_one_line_that_says_what_to_install(clone, bare):
    with_dependencies(clone)
    done = set_up(clone, bare | {"MUJOCO_GL": "disable"})
    assert done.returncode == 1
    assert done.stderr.startswith("error: no headless OpenGL: install libegl1")
    assert done.stderr.count("\n") == 1


def test_set_up_finds_opengl_once_and_does_nothing_more(clone, bare):
    with_dependencies(clone)
    first = set_up(clone, bare)
    assert (first.returncode, first.stderr) == (0, "")
    (clone / ".venv" / "bin" / "python").unlink()  # a second run does not even start it
    assert set_up(clone, bare).returncode == 0


def test_changed_pins_start_from_a_fresh_environment(clone, bare):
    """Changing mujoco in place leaves a broken installation."""
    with_dependencies(clone)
    with open(clone / "constraints.txt", "a") as file:
        file.write("# changed\n")
    assert set_up(clone, bare).returncode == 1  # no Python to make it with
    assert not (clone / ".venv").exists()


def pins() -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+?)(?: ; .+)?", line) for line in lines if line]
    assert all(found), [line for line, match in zip(filter(None, lines), found, strict=True) if not match]
    names = [re.sub(r"[-_.]+", "-", match[1]).lower() for match in found if match]
    assert len(set(names)) == len(names), "pinned twice"
    return dict(zip(names, (match[2] for match in found if match), strict=True))


def test_every_dependency_is_pinned_within_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = pins()
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert name in pinned, f"{name} is not pinned"
        assert requirement.specifier.contains(pinned[name]), f"{text}: {pinned[name]}"


def test_pins_hold_no_address_and_no_build_of_one_machine():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "--" not in text
    assert not [name for name, version in pins().items() if "+" in version]


def test_ci_is_executable():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
