"""In-domain self-distillation (DINO, Caron et al. 2021): from crops, a student tells what its teacher says of the frame."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.encoders.networks.small_vit import GRID, SmallVit, initialise, normalised

_PROTOTYPES, _HIDDEN, _BOTTLENECK = 512, 256, 64
_STUDENT_TEMPERATURE, _TEACHER_TEMPERATURE = 0.1, 0.04
_CENTRE_MOMENTUM, _TEACHER_MOMENTUM = 0.9, 0.99
_CROPS = (6, 5)  # patches on a side, of the student's crops of a frame


class SelfDistillation:
    """Objective of `dino_indomain`: cross-entropy between the teacher's answer and the student's, over learned prototypes.

    The teacher, the student's moving average, sees the whole frame; the student sees crops of it in other colours. Crops are of
    whole patches that keep their positions: in control, where a thing is matters. The teacher's answers are centred and
    sharpened, so that they do not collapse.
    """

    name = "dino_indomain"

    def __init__(self, encoder: SmallVit, seed: int) -> None:
        self._student = _Student(encoder, seed)
        self._teacher = copy.deepcopy(self._student).requires_grad_(False)
        self.networks: nn.Module = nn.ModuleDict({"student": self._student, "teacher": self._teacher})
        self.networks.register_buffer("centre", torch.zeros(_PROTOTYPES))

    @property
    def encoder(self) -> SmallVit:
        """The teacher's network, as DINO's authors use it."""
        return self._teacher.vit

    def optimizer(self, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW([p for p in self.networks.parameters() if p.requires_grad], lr=learning_rate, weight_decay=0.04)

    def loss(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        pixels, mean = normalised(frames), self.encoder.mean
        with torch.no_grad():
            said = self._teacher(recoloured(pixels, mean, generator), None)  # (B, prototypes)
            centre = self.networks.get_buffer("centre")
            target = F.softmax((said - centre) / _TEACHER_TEMPERATURE, dim=-1)
            centre.lerp_(said.mean(0), 1 - _CENTRE_MOMENTUM)
        terms = []
        for side in _CROPS:
            guess = self._student(recoloured(pixels, mean, generator), crop(len(pixels), side, generator).to(pixels.device))
            terms.append(-(target * F.log_softmax(guess / _STUDENT_TEMPERATURE, dim=-1)).sum(-1).mean())
        return torch.stack(terms).mean()

    @torch.no_grad()
    def after_update(self, fraction: float) -> None:
        momentum = 1 - (1 - _TEACHER_MOMENTUM) * (math.cos(math.pi * fraction) + 1) / 2
        for old, new in zip(self._teacher.parameters(), self._student.parameters(), strict=True):
            old.lerp_(new, 1 - momentum)


class _Student(nn.Module):
    """A small vision transformer, and the head over prototypes that only learning needs."""

    def __init__(self, vit: SmallVit, seed: int) -> None:
        super().__init__()
        width = vit.vit.embed_dim
        self.vit = vit
        self.head = nn.Sequential(
            _whitened(width), nn.Linear(width, _HIDDEN), _whitened(_HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, _HIDDEN),
            _whitened(_HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, _BOTTLENECK),
        )  # fmt: skip
        self.prototypes = nn.Linear(_BOTTLENECK, _PROTOTYPES, bias=False)
        generator = torch.Generator().manual_seed(seed + 1)
        initialise(self.head, generator)
        initialise(self.prototypes, generator)

    def forward(self, pixels: Tensor, shown: Tensor | None) -> Tensor:
        """[B, 3, 64, 64], of which only the patches `shown` [B, n] are seen -> cosines with the prototypes [B, prototypes]."""
        vector = self.vit.visible(pixels, shown)[:, 0]
        return F.linear(F.normalize(self.head(vector), dim=-1), F.normalize(self.prototypes.weight, dim=-1))


def _whitened(width: int) -> nn.Module:
    """Frames of one task are nearly equal: without batch statistics in the head, all answers are, and learning stalls."""
    return nn.BatchNorm1d(width, affine=False, track_running_stats=False)


def crop(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Indices [count, side * side] of the patches in a random square of the grid, one square a frame."""
    top, left = torch.randint(GRID - side + 1, (2, count, 1, 1), generator=generator)
    square = torch.arange(side)
    return ((top + square[:, None]) * GRID + left + square).flatten(1)


def recoloured(pixels: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """What differs from the mean image in another brightness, contrast and tint for each frame, and a little noise."""
    n = len(pixels)
    gain = (0.6 + 0.8 * torch.rand(n, 1, 1, 1, generator=generator)) * (0.8 + 0.4 * torch.rand(n, 3, 1, 1, generator=generator))
    offset = 0.4 * (torch.rand(n, 1, 1, 1, generator=generator) - 0.5)
    noise = 0.05 * torch.randn(n, 1, *pixels.shape[2:], generator=generator)
    return mean + (pixels - mean) * gain.to(pixels) + (offset + noise).to(pixels)
