"""The camera axis: every camera orbits about what it looks at, rolls, and zooms."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.mj import mujoco
from pipeline.sim.rotation import rotation_matrix

# At severity 1, in the camera's frame: pitch, yaw, roll; each draw takes at least half of each.
_MAX_ANGLES = np.deg2rad([5.0, 10.0, 4.0])
_MAX_ZOOM = 0.1  # of the field of view
_LEAST = 0.5


def shift_camera(model: Any, severity: float, rng: np.random.Generator) -> None:
    """Turn all cameras alike, each about its own subject, and scale their fields of view."""
    draw = rng.choice([-1.0, 1.0], size=4) * rng.uniform(_LEAST, 1.0, size=4)
    turn = rotation_matrix(severity * draw[:3] * _MAX_ANGLES)
    distances = _subject_distances(model)
    for camera, distance in enumerate(distances):
        world = np.empty(9)
        mujoco.mju_quat2Mat(world, model.cam_quat[camera])
        position, frame = _orbit(model.cam_pos[camera], world.reshape(3, 3), turn, distance)
        model.cam_pos[camera] = position
        mujoco.mju_mat2Quat(model.cam_quat[camera], frame.ravel())
        # Cameras that track a body read these, in world axes, and ignore the two above.
        fixed = model.cam_mat0[camera].reshape(3, 3).copy()
        for name in ("cam_pos0", "cam_poscom0"):
            getattr(model, name)[camera] = _orbit(getattr(model, name)[camera], fixed, turn, distance)[0]
        model.cam_mat0[camera] = (fixed @ turn).ravel()
    model.cam_fovy[:] = model.cam_fovy * (1 + severity * draw[3] * _MAX_ZOOM)


def _subject_distances(model: Any) -> list[float]:
    """How far from each camera its subject is: what it tracks, or the model's centre, in the model as it starts."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    tracking = (mujoco.mjtCamLight.mjCAMLIGHT_TRACK, mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM)
    distances = []
    for camera in range(model.ncam):
        subject = data.subtree_com[model.cam_bodyid[camera]] if model.cam_mode[camera] in tracking else model.stat.center
        distances.append(float(np.linalg.norm(data.cam_xpos[camera] - subject)))
    return distances


def _orbit(
    position: NDArray[np.float64], frame: NDArray[np.float64], turn: NDArray[np.float64], distance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotate a camera (its axes are the columns of `frame`; it looks along -z) about the point `distance` ahead of it."""
    turned = frame @ turn
    pivot = position - distance * frame[:, 2]
    return pivot + distance * turned[:, 2], turned
