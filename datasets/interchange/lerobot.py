"""A LeRobot v3.0 dataset of one look, images as PNG bytes in Parquet (lossless, no video).

LeRobot pairs an observation with the action taken at it, so frame t of an episode holds observation t, Encore's action, reward
and end of row t + 1, and an episode's last observation, at which nothing was done, is left out. Opened by
`LeRobotDataset(repo_id, root=FOLDER)`. Source: huggingface/lerobot, src/lerobot/datasets/utils.py (paths,
`get_hf_features_from_features`, `load_tasks`) and lerobot_dataset.py (`LeRobotDatasetMetadata`).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.interchange.exported import ExportedEpisode
from datasets.interchange.lerobot_stats import Stats, image_stats, together, vector_stats
from datasets.manifest import write_json
from datasets.png import encoded

VERSION = "v3.0"
IMAGE = "observation.image"
_NAME = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_CHUNK_FILES = 1000  # LeRobot's most files of one folder
_FILE_BYTES = 64 << 20  # of images in one file, below LeRobot's 100 MB; what is held before a file is written
_FIXED = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64"}


def write_lerobot(folder: Path, task: str, episodes: Iterable[ExportedEpisode], fps: float) -> None:
    """Write a dataset into `folder`; at most one data file's images and one episode are in memory.

    Args:
        task: what the frames' one task is called.
        episodes: training episodes first.
        fps: agent steps a second.

    Raises:
        DataError: there are no episodes.
    """
    data, facts, stats = _DataFiles(folder), [], []
    features: dict[str, Any] = {}
    start = 0
    for number, episode in enumerate(episodes):
        columns, images = _columns(episode, number, start, fps)
        features = features or _features(columns, images)
        stats.append({IMAGE: image_stats(images)} | {name: vector_stats(values) for name, values in columns.items()})
        place = data.add(columns, images)
        facts.append(
            {
                "episode_index": number, "tasks": [task], "length": len(images), **place, "dataset_from_index": start,
                "dataset_to_index": start + len(images), "quality": episode.facts.quality, "seed": episode.facts.seed,
                "validation": episode.facts.validation, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
            }
        )  # fmt: skip
        start += len(images)
    if not facts:
        raise DataError("there are no episodes to export")
    data.close()
    path = folder / "meta" / "episodes" / _NAME.format(chunk_index=0, file_index=0)
    path.parent.mkdir(parents=True)
    pl.DataFrame([fact | _flat(stat) for fact, stat in zip(facts, stats, strict=True)]).write_parquet(path)
    _write_tasks(folder / "meta" / "tasks.parquet", task)
    write_json(folder / "meta" / "stats.json", {k: {n: v.tolist() for n, v in s.items()} for k, s in together(stats).items()})
    training = sum(not fact["validation"] for fact in facts)
    splits = {"train": f"0:{training}", "validation": f"{training}:{len(facts)}"}
    info = {
        "codebase_version": VERSION, "robot_type": None, "total_episodes": len(facts), "total_frames": start, "total_tasks": 1,
        "chunks_size": _CHUNK_FILES, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200,
        "fps": round(fps) if abs(fps - round(fps)) < 1e-6 else fps, "data_path": f"data/{_NAME}", "video_path": None,
        "splits": {name: span for name, span in splits.items() if len(set(span.split(":"))) == 2}, "features": features,
    }  # fmt: skip
    write_json(folder / "meta" / "info.json", info)


def _columns(episode: ExportedEpisode, number: int, start: int, fps: float) -> tuple[dict[str, NDArray[Any]], NDArray[np.uint8]]:
    """All features but the image, [n] or [n, D], and the images uint8 [n, H, W, 3], of an episode of n + 1 rows."""
    rows, steps = episode.rows, len(episode.rows.reward) - 1
    t = np.arange(steps)
    columns: dict[str, NDArray[Any]] = {"observation.state": rows.observation[:-1]} if rows.observation.shape[1] else {}
    columns |= {
        "action": rows.action[1:], "next.reward": rows.reward[1:], "next.done": t == steps - 1,
        "next.truncated": (t == steps - 1) & ~rows.is_terminal[1:], "timestamp": (t / fps).astype(np.float32),
        "frame_index": t, "episode_index": np.full(steps, number), "index": start + t, "task_index": np.zeros(steps, np.int64),
    }  # fmt: skip
    return columns, episode.frames[:-1]


def _features(columns: dict[str, NDArray[Any]], images: NDArray[np.uint8]) -> dict[str, Any]:
    """The features of `info.json`."""
    image = {"dtype": "image", "shape": list(images.shape[1:]), "names": ["height", "width", "channels"]}
    return {IMAGE: image} | {
        name: {"dtype": _FIXED.get(name, values.dtype.name), "shape": list(values.shape[1:]) or [1], "names": None}
        for name, values in columns.items()
    }


class _DataFiles:
    """Rows on their way into `data/`, a file at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"
        self._held: list[pl.DataFrame] = []
        self._bytes = self._written = 0

    def add(self, columns: dict[str, NDArray[Any]], images: NDArray[np.uint8]) -> dict[str, int]:
        """Add an episode; returns where it will lie."""
        files = [{"bytes": encoded(image), "path": None} for image in images]
        series = [pl.Series(IMAGE, files, pl.Struct({"bytes": pl.Binary, "path": pl.String}))]
        for name, values in columns.items():
            flat = values.reshape(-1) if values[:1].size == 1 else values  # a feature of shape [1] is a plain column
            series.append(pl.Series(name, flat))
        place = {"data/chunk_index": self._written // _CHUNK_FILES, "data/file_index": self._written % _CHUNK_FILES}
        self._held.append(pl.DataFrame(series))
        self._bytes += sum(len(image["bytes"] or b"") for image in files)
        if self._bytes >= _FILE_BYTES:
            self.close()
        return place

    def close(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        place = {"chunk_index": self._written // _CHUNK_FILES, "file_index": self._written % _CHUNK_FILES}
        path = self._folder / _NAME.format(**place)
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.concat(self._held).write_parquet(path, row_group_size=1000)
        self._held, self._bytes, self._written = [], 0, self._written + 1


def _flat(stats: dict[str, Stats]) -> dict[str, Any]:
    return {f"stats/{feature}/{name}": value.tolist() for feature, own in stats.items() for name, value in own.items()}


def _write_tasks(path: Path, task: str) -> None:
    """`tasks.parquet`, which LeRobot reads with pandas and asks for its index: the task's name.

    Arrow ignores pandas' note on the index beside a schema of its own, so that schema (redundant for these types) is renamed.
    """
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    note = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pl.DataFrame({"task_index": [0], "task": [task]})
    table.write_parquet(path, metadata={"pandas": json.dumps(note)})
    path.write_bytes(path.read_bytes().replace(b"ARROW:schema", b"polars:arrow"))
