"""A training run that ends after an update, as if it had been killed there."""

from collections.abc import Callable, Iterator


class KilledError(Exception):
    pass


def until(last: int) -> Callable[[range], Iterator[int]]:
    """For `OfflineTrainer.run`: updates up to `last`, then `KilledError`."""

    def track(todo: range) -> Iterator[int]:
        for update in todo:
            if update > last:
                raise KilledError
            yield update

    return track
