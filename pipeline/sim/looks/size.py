"""The size axis (the paper's): all geoms of the bodies scaled by one factor from [0.7, 1.3].

Radii and lengths scale about each geom's centre; joints stay where they are. Masses given by density follow, so the physics
changes and a look of this axis has trajectories of its own. Floors, terrain and meshes keep their size.
"""

from typing import Any

from pipeline.sim.looks.draw import Draw
from pipeline.sim.mj import mujoco

_LARGEST = 0.3  # change of scale at severity 1; the held-out fifth of changes is the largest
_FIXED = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD, mujoco.mjtGeom.mjGEOM_MESH, mujoco.mjtGeom.mjGEOM_SDF)


def size_factor(severity: float, draw: Draw) -> float:
    """The scale of all geoms, in [0.7, 1.3]; severity 1 is U[0.7, 1.3] over both splits together."""
    return 1 + draw.sign() * severity * _LARGEST * draw.place()


def resize_geoms(spec: Any, severity: float, draw: Draw) -> None:
    """Scale the geoms of an MjSpec."""
    factor = size_factor(severity, draw)
    for geom in spec.geoms:
        if geom.type in _FIXED or geom.parent.name == "world":
            continue
        geom.size = geom.size * factor
        ends = geom.fromto
        if ends[0] == ends[0]:  # nan where the geom is not given by its two ends
            centre = (ends[:3] + ends[3:]) / 2
            geom.fromto[:3] = centre + (ends[:3] - centre) * factor
            geom.fromto[3:] = centre + (ends[3:] - centre) * factor
