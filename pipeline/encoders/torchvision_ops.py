"""Importing torchvision where its wheel was built for another torch.

PyPI's torchvision is a CUDA build. Beside a CPU build of torch its native operators do not load, and `import torchvision`
fails on two operators that nothing here calls. Declaring their signatures is enough; where the import succeeds nothing is done.
"""

import sys
from typing import Any

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # torch forgets the operators when the object goes


def import_torchvision() -> None:
    """Import torchvision, declaring `torchvision::nms` and `qnms` when exactly their absence makes the import fail."""
    if "torchvision" in sys.modules:
        return
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        import torch

        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + _NMS)
        _declared.append(library)
        import torchvision  # noqa: F401


def create_timm(name: str, meta: bool = True, **options: Any) -> Any:
    """A timm model without weights; on the meta device (no memory, no initialisation) unless it computes buffers when built."""
    import_torchvision()
    import timm
    import torch

    with torch.device("meta" if meta else "cpu"):
        return timm.create_model(name, pretrained=False, **options)
