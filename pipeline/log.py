"""What a stage tells the person at the keyboard: log lines, and a progress bar where there is a terminal."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
LINE_EVERY_S = 15.0


def log(message: str) -> None:
    """One line on stderr, at once."""
    print(message, file=sys.stderr, flush=True)


def track(
    items: Iterable[T], total: int, unit: str, desc: str, initial: int = 0, note: Callable[[], str] = str
) -> Iterator[T]:  # fmt: skip
    """Iterate with rate, ETA and a note: a tqdm bar on a terminal, a log line every 15 s elsewhere (under DVC, in CI)."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        with tqdm(items, total=total, initial=initial, unit=unit, desc=desc, dynamic_ncols=True) as bar:
            for item in bar:
                yield item
                bar.set_postfix_str(note(), refresh=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last > LINE_EVERY_S or (initial + done == total and now - start > LINE_EVERY_S):
            last = now
            text: Any = tqdm.format_meter(initial + done, total, now - start, ncols=0, unit=unit, prefix=desc, initial=initial)
            log(" ".join(filter(None, (text, note()))))
