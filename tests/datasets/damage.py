"""Ways in which a file goes wrong on a disk."""

from pathlib import Path


def truncate(path: Path, keep: float = 0.6) -> None:
    """Cut a file short, as an interrupted copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def flip_byte(path: Path, where: float = 0.5) -> None:
    """Change one byte, size and name unchanged."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0xFF
    path.write_bytes(data)
