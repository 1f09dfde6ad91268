"""How well reward and state are read out of a representation as it is, without a world model or memory."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from datasets.episodes import Trajectories
from trainers.probes.knn import Knn, fit_knn
from trainers.probes.probe import Asked, Regressor, Targets, ask
from trainers.probes.ridge import Ridge, fit_ridge
from trainers.probes.targets import as_vectors, evenly

FRAME_SIDE = 16  # pixels that frames are averaged down to: of `scratch`, that is the representation
MOST = 20_000  # rows that the ridge regression is fitted to
LOOKED_UP = 5_000  # of these, rows among which neighbours are sought


class Readers(NamedTuple):
    """Probes fitted to training rows under the default look."""

    asked: Asked
    ridge: Ridge
    knn: Knn

    @property
    def methods(self) -> Mapping[str, Regressor]:
        """By the names that tables give them."""
        return {"ridge": self.ridge, "knn": self.knn}

    def standardised(self, x: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """Rows as the probes and the world models read them: mean 0, standard deviation 1, or less in a faint channel."""
        return (x - self.ridge.mean) / self.ridge.scale


def fit_readers(x: Float[Tensor, "n D"], targets: Targets, group: Int[Tensor, " n"]) -> Readers:
    """Fit both probes.

    Args:
        x: training rows. targets: [n, *] by name. group: the episode of each.

    Raises:
        DataError: x is not finite.
    """
    asked = ask(targets)
    y = asked.joined(targets)
    few = evenly(len(x), LOOKED_UP).to(x.device)
    return Readers(asked, fit_ridge(x, y, group), fit_knn(x[few], y[few]))


class Shown(NamedTuple):
    """Rows of some episodes under one look, without each episode's first, which no reward arrives with.

    Attributes:
        row, episode: int64 [n], in the trajectory file. x: float32 [n, D] (`targets.as_vectors`).
    """

    row: Int[Tensor, " n"]
    episode: Int[Tensor, " n"]
    x: Float[Tensor, "n D"]


def shown(data: Trajectories, observation: Tensor, episodes: list[int], most: int | None = None) -> Shown:
    """Rows of `episodes`, at most `most` of them, evenly spaced; `observation` is [T, *], as stored."""
    spans = [data.rows_of(episode) for episode in episodes]
    row = torch.cat([torch.arange(s.start + 1, s.stop) for s in spans])
    episode = torch.repeat_interleave(torch.tensor(episodes), torch.tensor([s.stop - s.start - 1 for s in spans]))
    few = evenly(len(row), len(row) if most is None else most)
    row, episode = (values[few].to(observation.device) for values in (row, episode))
    return Shown(row, episode, as_vectors(observation, row, FRAME_SIDE))


def targets(data: Trajectories, row: Int[Tensor, " n"]) -> dict[str, Tensor]:
    """What is read, [n, *] by name: the reward that arrives with a row, and the task's observation."""
    at = row.cpu().numpy()
    values = {"reward": data.reward[at, None], "state": data.observation[at]}
    return {name: torch.from_numpy(value).to(row.device) for name, value in values.items()}
