"""A stage's output appears whole or not at all; a killed stage goes on where it was; nobody writes beside another."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datasets.manifest import digest, read_manifest, verify
from pipeline.work import code_digest, open_work, store
from tests.synthetic import ROOT

OUT = Path("out/demo")
PARTS = 4

# A stage of four parts, each announced when it is on disk; it then waits for a line on stdin.
STAGE = f"""
import sys
from pathlib import Path
from pipeline.work import open_work

key, steps = sys.argv[1], sys.stdin
with open_work("demo", Path("{OUT}"), {{"key": key}}) as work:
    if work is None:
        print("accepted", flush=True)
        sys.exit()
    for part in range({PARTS}):
        file = work.folder / f"{{part}}.txt"
        if file.exists():
            print("kept", part, flush=True)
            continue
        file.write_text(f"{{key}} {{part}}")
        print("made", part, flush=True)
        if steps.readline() == "fail\\n":
            raise RuntimeError("half-way")
    (work.result / "all.txt").write_text("".join((work.folder / f"{{part}}.txt").read_text() for part in range({PARTS})))
print("done", flush=True)
"""


class Stage:
    """The stage above as a process that does one part at a time."""

    def __init__(self, folder: Path, key: str = "a") -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "ENCORE_STORE": str(folder / "store")}
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", STAGE, key], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def says(self) -> str:
        return self.process.stdout.readline().strip()

    def go(self, line: str = "on") -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def finish(self) -> list[str]:
        """Let it run to its end; what it said on the way."""
        out, error = self.process.communicate("on\n" * PARTS, timeout=60)
        assert self.process.returncode == 0, error
        return out.splitlines()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    started: list[Stage] = []

    def begin(key: str = "a") -> Stage:
        started.append(Stage(tmp_path, key))
        return started[-1]

    yield begin
    for stage in started:
        if stage.process.poll() is None:
            stage.kill()
        stage.process.communicate(timeout=60)


def test_a_finished_stage_publishes_a_verified_folder_and_leaves_no_work_behind(start, tmp_path):
    assert start().finish() == [*(f"made {part}" for part in range(PARTS)), "done"]
    out = tmp_path / OUT
    assert verify(out)["meta"]["inputs"] == {"key": "a"}
    assert sorted(p.name for p in out.parent.iterdir()) == [OUT.name]
    assert not [p for p in (tmp_path / "store" / "work" / "demo").iterdir() if p.is_dir()]


def test_a_killed_stage_leaves_no_output_and_resumes_to_the_same_bytes(start, tmp_path):
    start().finish()
    whole = digest(tmp_path / OUT)
    (tmp_path / OUT).rename(tmp_path / "kept")
    killed = start()
    assert killed.says() == "made 0"
    killed.go()
    assert killed.says() == "made 1"
    killed.kill()
    assert not (tmp_path / OUT).exists()
    assert start().finish() == ["kept 0", "kept 1", "made 2", "made 3", "done"]
    assert digest(tmp_path / OUT) == whole


def test_an_exception_publishes_nothing_and_keeps_the_parts(start, tmp_path):
    failing = start()
    assert failing.says() == "made 0"
    failing.go("fail")
    assert failing.process.wait(timeout=60) != 0
    assert not (tmp_path / OUT).exists()
    assert start().finish()[0] == "kept 0"


def test_another_key_starts_afresh_and_replaces_the_output(start, tmp_path):
    start("a").finish()
    killed = start("b")
    assert killed.says() == "made 0"
    killed.kill()
    assert read_manifest(tmp_path / OUT)["meta"]["inputs"] == {"key": "a"}, "the old output stays until the new one is whole"
    assert start("c").finish()[0] == "made 0"
    assert (tmp_path / OUT / "all.txt").read_text() == "".join(f"c {part}" for part in range(PARTS))


def test_a_survivor_keeps_a_second_writer_out_whose_result_it_then_accepts(start, tmp_path):
    survivor = start()
    assert survivor.says() == "made 0"
    second = start()
    assert "waiting: another process" in second.process.stderr.readline()
    assert second.process.poll() is None
    survivor.finish()
    published = (tmp_path / OUT).stat().st_ino
    assert second.finish() == ["accepted"]
    assert (tmp_path / OUT).stat().st_ino == published, "the second process wrote the output again"


def test_a_waiter_goes_on_where_a_killed_survivor_was(start):
    survivor = start()
    assert survivor.says() == "made 0"
    second = start()
    assert "waiting" in second.process.stderr.readline()
    survivor.kill()
    assert second.finish() == ["kept 0", "made 1", "made 2", "made 3", "done"]


def test_a_waiter_of_another_key_does_its_own_work(start, tmp_path):
    survivor = start("a")
    assert survivor.says() == "made 0"
    second = start("b")
    assert "waiting" in second.process.stderr.readline()
    survivor.finish()
    assert second.finish()[0] == "made 0"
    assert read_manifest(tmp_path / OUT)["meta"]["inputs"] == {"key": "b"}


def test_running_again_without_waiting_computes_again(start):
    start().finish()
    assert start().finish()[0] == "made 0"


def test_a_finished_stage_notes_its_cost_outside_the_output(start, tmp_path):
    start().finish()
    assert sorted(p.name for p in (tmp_path / OUT).iterdir()) == ["all.txt", "manifest.json"]
    assert len(list((tmp_path / "store" / "costs").glob("*.json"))) == 1


def test_an_output_on_another_file_system_is_published_whole(tmp_path, monkeypatch):
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to write to")
    monkeypatch.setenv("ENCORE_STORE", str(tmp_path / "store"))
    out = shared / f"encore-test-{os.getpid()}" / "out"
    try:
        with open_work("demo", out, {"key": 1}) as work:
            assert work is not None
            (work.result / "file").write_text("content")
        verify(out)
        assert (out / "file").read_text() == "content"
        assert [p.name for p in out.parent.iterdir()] == ["out"]
    finally:
        subprocess.run(["rm", "-r", str(out.parent)], check=True)


def test_code_digest_follows_the_files_it_is_given():
    assert code_digest("pipeline/work.py") == code_digest("pipeline/work.py")
    assert code_digest("pipeline/work.py") != code_digest("pipeline/log.py")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ENCORE_STORE")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def test_the_store_is_beside_dvcs_cache_by_default(project):
    assert store() == project / ".dvc" / "encore"


def test_the_store_follows_a_cache_elsewhere(project):
    (project / ".dvc" / "config").write_text("[core]\n    analytics = false\n[cache]\n    dir = ../elsewhere/100%/cache\n")
    assert store() == project / "elsewhere" / "100%" / "encore"


def test_an_experiment_elsewhere_uses_the_store_of_the_main_tree(project):
    """`dvc exp run --temp` writes the main tree's cache into its copy's config.local."""
    (project / ".dvc" / "config").write_text('[cache]\n    type = "reflink,copy"\n')
    (project / ".dvc" / "config.local").write_text("[cache]\n    dir = /somewhere/main/.dvc/cache\n")
    assert store() == Path("/somewhere/main/.dvc/encore")


def test_a_chosen_store_wins(project, monkeypatch):
    (project / ".dvc" / "config.local").write_text("[cache]\n    dir = /somewhere/cache\n")
    monkeypatch.setenv("ENCORE_STORE", "chosen")
    assert store() == project / "chosen"
