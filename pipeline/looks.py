"""Which looks params.yaml asks for."""

from datasets.frames import DEFAULT_LOOK, Look
from pipeline.params import Params


def looks_of(p: Params, task: str) -> list[Look]:
    """The default look; of a task that can be drawn again those that models train on, those held out, and those of axis size.

    Raises:
        UserError: two would have the same name.
    """
    from pipeline.sim.names import SIZE
    from pipeline.sim.variants import looks

    if not p.draws(task):
        return [DEFAULT_LOOK]
    options, trained = p.render, p.render.train_looks
    seen = looks(trained.axes, trained.severities, trained.looks_per_severity, p.seed, "id", options.images)
    axes = [axis for axis in options.axes if axis != SIZE]
    held_out = looks(axes, options.severities, options.looks_per_severity, p.seed, "ood", options.images)
    sizes = looks([SIZE], options.severities, options.looks_per_severity, p.seed) if SIZE in options.axes else []
    return [DEFAULT_LOOK, *seen, *held_out, *sizes]
