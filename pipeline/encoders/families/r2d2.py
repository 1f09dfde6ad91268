"""R2D2 keypoints: the descriptors of a frame's eight best keypoints, as in the study (arXiv 2411.10175).

Upstream: naver/r2d2 (`nets/patchnet.py`, `extract.py`). Its released extraction runs on images of at least 256 pixels, so
frames are brought to 256, where exactly one scale is used.
"""

from typing import TYPE_CHECKING

from pipeline.encoders.entry import EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network


def _network() -> "Network":
    from pipeline.encoders.networks.network import on_meta
    from pipeline.encoders.networks.r2d2 import R2d2

    with on_meta():
        return R2d2()


def _keys(state: "State", network: "Network") -> "State":
    from pipeline.encoders.keys import under

    return under(state, "module.")


ENTRIES = (
    Entry(
        EncoderInfo(
            "r2d2_keypoints",
            1024,
            "L2-Net, 8 keypoints x 128",
            "repeatable and reliable keypoints",
            "web images, Aachen",
            licence="CC BY-NC-SA 3.0",
            made_here=False,
            aliases=("r2d2",),
        ),
        Preprocess(resize=256, crop=256, filter="bilinear"),
        Source(
            "r2d2_WASF_N16.pt",
            "folder models of GitHub naver/r2d2",
            wrap=("state_dict",),
            sha256="9ae90e02a9a133d100ca7aeaa32f4d4d7736a6dd222a530a25c8f7da5e508528",
        ),
        _network,
        _keys,
        ("families/r2d2.py", "keys.py", "networks/r2d2.py"),
    ),
)
