"""The world model of DreamerV3 (arXiv 2301.04104 v2): block-GRU RSSM, reward, continue and decoder heads.

What it models is an embedding (decoded back to its symlog) or, for `scratch`, the frames themselves.
"""

from trainers.worldmodel.config import LossScales, ModelConfig
from trainers.worldmodel.model import WorldModel
from trainers.worldmodel.types import Batch, Posterior, State

__all__ = ["Batch", "LossScales", "ModelConfig", "Posterior", "State", "WorldModel"]
