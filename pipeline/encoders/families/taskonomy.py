"""Taskonomy's encoders, as Sax et al. released them for PyTorch: one network per vision task, 8 x 16 x 16 numbers a frame.

Upstream: alexsax/visual-prior (`visualpriors/taskonomy_network.py`, which also names every file with its sha256).
"""

from typing import TYPE_CHECKING

from pipeline.encoders.entry import HALF, EncoderInfo, Entry, Preprocess, Source

if TYPE_CHECKING:
    from pipeline.encoders.entry import State
    from pipeline.encoders.networks.network import Network


def _network() -> "Network":
    from pipeline.encoders.networks.network import on_meta
    from pipeline.encoders.networks.taskonomy import Taskonomy

    with on_meta():
        return Taskonomy()


def _keys(state: "State", network: "Network") -> "State":
    return state


def _taskonomy(task: str, published: str, sha256: str) -> Entry:
    info = EncoderInfo(
        f"taskonomy_{task}",
        2048,
        "ResNet-50 variant",
        f"supervised: {published}",
        "Taskonomy",
        4_000_000,
        licence="MIT",
        made_here=False,
        grid=(16, 16, 8),
    )
    source = Source(
        f"{published}_encoder-{sha256}.pth",
        "assets/pytorch on branch `networks` of GitHub alexsax/visual-prior",
        wrap=("state_dict",),
        sha256=sha256,
    )
    how = Preprocess(resize=256, square=True, filter="bilinear", mean=HALF[0], std=HALF[1])
    return Entry(info, how, source, _network, _keys, ("families/taskonomy.py", "networks/taskonomy.py"))


ENTRIES = (
    _taskonomy("autoencoding", "autoencoding", "e35146c09253720e97c0a7f8ee4e896ac931f5faa1449df003d81e6089ac6307"),
    _taskonomy("keypoints3d", "keypoints3d", "7e3f1ec97b82ae30030b7ea4fec2dc606b71497d8c0335d05f0be3dc909d000d"),
    _taskonomy("segment25d", "segment_unsup25d", "7d12d2500c18c003ffc23943214f5dfd74932f0e3d03dde2c3a81ebc406e31a0"),
    _taskonomy("depth_zbuffer", "depth_zbuffer", "cc343a8ed622fd7ee3ce54398be8682bbbbfb5d11fa80e8d03a56a5ae4e11b09"),
    _taskonomy("normal", "normal", "f5e2c7737e4948e3b2a822f584892c342eaabbe66661576ba50db7cdd40561c5"),
)
