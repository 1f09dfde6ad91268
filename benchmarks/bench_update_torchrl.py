"""An update of DreamerV3's world model, against one of torchrl's parts of it put together at the same sizes.

torchrl: RSSMRolloutV3 of RSSMPriorV3 (block GRU) and RSSMPosteriorV3, DreamerV3MLP heads and DreamerV3ModelLoss, layer by layer
as ours, eager as its own trainer chooses on a CPU. Forward, backward, clipping and Adam on both sides, update by update in turn;
ours also draws, standardises and symlogs its windows, where torchrl is given one batch again and again.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks import Row
from benchmarks.bench_update import ACTION, BATCH, EMBEDDING, LENGTH, RSSM, config, make_trainer, update_flops

if TYPE_CHECKING:
    from tensordict import TensorDict
    from torch import nn
    from torchrl.objectives import DreamerV3ModelLoss


def measure() -> Iterator[Row]:
    import torch

    from trainers.worldmodel import WorldModel

    torch.set_num_threads(1)
    theirs: list[float] = []
    ours: list[float] = []
    peer = torchrl_loss()
    update_peer = _updates(peer, torchrl_batch(BATCH, LENGTH))

    def track(todo: range) -> Iterator[int]:
        for update in todo:
            start = time.process_time()
            update_peer()
            theirs.append(time.process_time() - start)
            start = time.process_time()
            yield update
            ours.append(time.process_time() - start)

    make_trainer().run(track)
    warm = [list(seconds[1:]) for seconds in (theirs, ours)]
    ratio = statistics.median(a / b for a, b in zip(*warm, strict=True))
    detail = (
        f"{statistics.median(warm[0]):.2f} s an update by torchrl {version('torchrl')}, {statistics.median(warm[1]):.2f} s ours "
        f"(CPU time, {len(warm[1])} pairs); {_size(peer)} and {_size(WorldModel(config()))} parameters, "
        f"{update_flops(BATCH * LENGTH) / 1e9:.1f} GFLOP on both sides; batch {BATCH} x {LENGTH}, embedding {EMBEDDING}, {RSSM}, "
        "1 thread"
    )
    yield {"id": "update_vs_torchrl_dreamer", "ratio": ratio, "detail": detail}


def torchrl_loss() -> "DreamerV3ModelLoss":
    """torchrl's world model within its loss, the layers and loss terms of `bench_update.config`."""
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torch import nn
    from torchrl.modules import DreamerV3MLP, RSSMPosteriorV3, RSSMPriorV3, RSSMRolloutV3
    from torchrl.objectives import DreamerV3ModelLoss

    from trainers.worldmodel.losses import BINS, UNIMIX

    hidden, units = RSSM["hidden"], RSSM["units"]
    latent = {
        "hidden_dim": hidden, "rnn_hidden_dim": RSSM["deter"], "num_categoricals": RSSM["stoch"], "num_classes": RSSM["classes"],
        "unimix": UNIMIX,
    }  # fmt: skip
    prior = RSSMPriorV3(
        action_shape=(ACTION,), action_dim=ACTION, recurrent_model="block_gru", num_blocks=RSSM["blocks"], **latent
    )
    posterior = RSSMPosteriorV3(obs_embed_dim=hidden, use_rms_norm=True, **latent)
    embedding, belief, state = ("next", "encoded_latents"), ("next", "belief"), ("next", "state")
    rollout = RSSMRolloutV3(
        TensorDictModule(prior, ["state", "belief", "action"], [("next", "prior_logits"), state, belief]),
        TensorDictModule(posterior, [belief, embedding], [("next", "posterior_logits"), state]),
    )
    feature = RSSM["deter"] + RSSM["stoch"] * RSSM["classes"]
    heads = {
        "reco_pixels": DreamerV3MLP(feature, EMBEDDING, depth=2, num_cells=units),
        "reward_logits": DreamerV3MLP(feature, BINS, depth=1, num_cells=units, outscale=0.0),
        "continue_pred": DreamerV3MLP(feature, 1, depth=1, num_cells=units),
    }
    model = TensorDictSequential(
        TensorDictModule(nn.Linear(EMBEDDING, hidden), [("next", "pixels")], [embedding]),
        rollout,
        *(TensorDictModule(head, [belief, state], [("next", name)]) for name, head in heads.items()),
    )
    return DreamerV3ModelLoss(model, kl_mode="separate", unimix=UNIMIX, lambda_continue=1.0, reco_symlog=False)


def torchrl_batch(batch: int, length: int) -> "TensorDict":
    """Random windows [batch, length] in torchrl's terms."""
    import torch
    from tensordict import TensorDict

    shape, never = (batch, length), torch.zeros(batch, length, 1, dtype=torch.bool)
    after = {"pixels": torch.randn(*shape, EMBEDDING), "reward": torch.rand(*shape, 1), "terminated": never}
    state, belief = torch.zeros(*shape, RSSM["stoch"] * RSSM["classes"]), torch.zeros(*shape, RSSM["deter"])
    action = 2 * torch.rand(*shape, ACTION) - 1
    return TensorDict({"state": state, "belief": belief, "action": action, "is_init": never, "next": after}, shape)


def _updates(loss: "DreamerV3ModelLoss", batch: "TensorDict") -> Callable[[], None]:
    import torch

    parameters = list(loss.parameters())
    optimiser = torch.optim.Adam(parameters, lr=1e-4, fused=True)

    def update() -> None:
        terms, _ = loss(batch)
        optimiser.zero_grad()
        torch.cat(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 100.0)
        optimiser.step()

    return update


def _size(model: "nn.Module") -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} M"
