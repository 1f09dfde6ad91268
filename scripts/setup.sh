#!/usr/bin/env bash
# Sets up what the project needs on this machine: .venv with the frozen dependencies, and headless OpenGL. Quick when done.
# `scripts/setup.sh test` also sees to the browser that the report is tested in, and to the interpreter of the GPU's kernels.
# PYTHON=/path/to/python chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 1; }

# apt-get where the command may use it: as root, or with a sudo that asks nothing.
apt_install() {
  command -v apt-get >/dev/null || return 1
  local as=()
  if [[ $(id -u) != 0 ]]; then
    sudo -n true 2>/dev/null || return 1
    as=(sudo -n)
  fi
  echo "installing system packages: $*" >&2
  { "${as[@]}" apt-get update -q && "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } >&2
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
    if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# Whether MuJoCo gets an OpenGL context through the backend that the stages would choose.
have_gl() {
  .venv/bin/python -c 'from pipeline.sim.gl import require_gl; require_gl(); import mujoco; mujoco.GLContext(8, 8).make_current()' >/dev/null 2>&1
}

wanted=$(cat pyproject.toml constraints.txt | cksum)
stamp=.venv/encore-dependencies
if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
  # Changed pins, or an installation that was cut short, get a fresh environment: changing mujoco in place leaves a broken one.
  if [[ -f $stamp ]]; then rm -rf .venv; fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python) || { apt_install python3 python3-venv && python=$(find_python); } ||
      fail "no Python 3.11 or 3.12 with venv found: install one (Debian, Ubuntu: python3 and python3-venv), or name it: PYTHON=/path/to/python make setup"
    "$python" -m venv --clear .venv
  fi
  echo incomplete >"$stamp"
  echo "installing the dependencies into .venv (minutes, once)" >&2
  .venv/bin/python -m pip install --disable-pip-version-check -q -c constraints.txt '.[dev]'
  echo "$wanted" >"$stamp"
fi

if [[ ! -f .venv/encore-gl ]]; then
  have_gl || { apt_install libegl1 libgl1-mesa-dri && have_gl; } || { apt_install libosmesa6 && have_gl; } ||
    fail "no headless OpenGL: install libegl1 libgl1-mesa-dri (or libosmesa6) with your system's package manager, then run this again"
  touch .venv/encore-gl
fi

# Beside the packages, not among them: torch would load it, and it crashes in a process that renders in software.
if [[ ${1:-} == test && ! -d .venv/kernels ]]; then
  .venv/bin/python -m pip install --disable-pip-version-check -q -c constraints.txt --no-deps --target .venv/kernels.part triton &&
    mv .venv/kernels.part .venv/kernels || echo "no Triton for this machine: the GPU's kernels are not tested" >&2
fi

if [[ ${1:-} == test ]] && ! command -v chromium >/dev/null; then
  apt_install chromium || echo "no chromium (install it with your system's package manager): the report is not tested in a browser" >&2
fi
