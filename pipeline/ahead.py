"""An iterator run ahead of its consumer."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Run an iterator in a thread, `count` items ahead of its consumer; its exception is raised where it was due."""
    done: Any = object()
    slots: queue.Queue[Any] = queue.Queue(count)
    left = threading.Event()

    def put(item: Any) -> bool:
        while not left.is_set():
            try:
                slots.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(done)
        except BaseException as error:  # handed to the consumer
            put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (item := slots.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
