"""Rotations of 3-vectors."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.sim.mj import mujoco


def rotation_matrix(vector: ArrayLike) -> NDArray[np.float64]:
    """[3, 3] of the rotation about `vector` [3] by its length in radians (right-handed)."""
    axis = np.asarray(vector, np.float64)
    angle = float(np.linalg.norm(axis))
    if angle == 0:
        return np.eye(3)
    quaternion, matrix = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quaternion, axis / angle, angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
