"""The camera axes: every camera orbits about what it looks at, rolls, and zooms; once for all, or slowly as time passes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.looks.axis import Effect
from pipeline.sim.looks.draw import Draw
from pipeline.sim.looks.rotation import rotation_matrix
from pipeline.sim.mj import mujoco

# At amplitude 1: orbit (towards a heading, the held-out direction), roll and zoom; each draw takes at least half of each.
_ORBIT = np.deg2rad(11.0)
_ROLL = np.deg2rad(4.0)
_ZOOM = 0.1  # of the field of view
_LEAST = 0.5
_FLAT = 0.5  # pitch turns half as far as yaw: a camera near the floor must not sink into it
_PERIOD_S = 20.0  # of the drift: the longest suite episode lasts 25 s, most 10 s
_FIELDS = ("cam_pos", "cam_quat", "cam_pos0", "cam_poscom0", "cam_mat0", "cam_fovy")


def _turn_and_zoom(draw: Draw) -> tuple[NDArray[np.float64], float]:
    """Rotation vector [3] in the camera's frame, radians, and relative change of the field of view, at amplitude 1."""
    heading = 2 * np.pi * draw.place()
    amounts = draw.rng.uniform(_LEAST, 1.0, size=3)
    orbit = amounts[0] * _ORBIT * np.array([_FLAT * np.sin(heading), np.cos(heading)])
    return np.array([*orbit, draw.sign() * amounts[1] * _ROLL]), draw.sign() * amounts[2] * _ZOOM


def shift_camera(model: Any, amplitude: float, draw: Draw) -> None:
    """Turn all cameras alike, each about its own subject, and scale their fields of view."""
    turn, zoom = _turn_and_zoom(draw)
    _move(model, _subject_distances(model), amplitude * turn, amplitude * zoom)


class Drift(Effect):
    """The cameras leave their places with time and come back: the way of `shift_camera`, by the sine of the time."""

    def __init__(self, model: Any, amplitude: float, draw: Draw) -> None:
        turn, zoom = _turn_and_zoom(draw)
        self._turn, self._zoom = amplitude * turn, amplitude * zoom
        self._distances = _subject_distances(model)
        self._start = {name: getattr(model, name).copy() for name in _FIELDS}

    def before(self, model: Any, data: Any) -> None:
        for name, values in self._start.items():
            getattr(model, name)[...] = values
        way = np.sin(2 * np.pi * data.time / _PERIOD_S)
        if way:
            _move(model, self._distances, way * self._turn, way * self._zoom)
        mujoco.mj_camlight(model, data)


def _move(model: Any, distances: list[float], rotation: NDArray[np.float64], zoom: float) -> None:
    turn = rotation_matrix(rotation)
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
    model.cam_fovy[:] = model.cam_fovy * (1 + zoom)


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
