"""Trains the in-domain autoencoder on a task's own training frames."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.errors import UserError
from pipeline.encoders.cnn import ConvDecoder, ConvEncoder, reconstruction_loss

_CHECKPOINT_EVERY = 100  # updates
Track = Callable[[range], Iterator[int]]


def train_autoencoder(
    frames: NDArray[np.uint8],
    dim: int,
    updates: int,
    batch: int,
    learning_rate: float,
    seed: int,
    device: str,
    folder: Path,
    track: Track,
) -> tuple[ConvEncoder, list[float]]:
    """Fit encoder and decoder by Adam with a one-cycle learning rate.

    The per-pixel mean image is subtracted first: otherwise 64 dimensions collapse to reconstructing it.

    Args:
        frames: uint8 [N, 64, 64, 3].
        folder: where a killed run left its checkpoint, and where this one leaves its own.
        track: iterates over the updates still to do, showing progress.

    Returns:
        The frozen encoder and the loss of every update.

    Raises:
        UserError: the loss became NaN or infinite.
    """
    torch.manual_seed(seed)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
    encoder, decoder = ConvEncoder(dim).to(device), ConvDecoder(dim).to(device)
    mean = frames.reshape(len(frames), -1).mean(0, dtype=np.float64).reshape(frames.shape[1:])
    encoder.mean.copy_(torch.from_numpy(mean).permute(2, 0, 1) / 255 - 0.5)
    networks = torch.nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(networks.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=updates)
    order = torch.Generator().manual_seed(seed)
    losses: list[torch.Tensor] = []
    start = 0

    path = folder / "autoencoder.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True, map_location=device)
        networks.load_state_dict(saved["networks"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        order.set_state(saved["order"].cpu())
        losses, start = [*saved["losses"].cpu()], saved["update"]

    for update in track(range(start, updates)):
        chosen = torch.randint(len(pixels), (batch,), generator=order)
        loss = reconstruction_loss(encoder, decoder, pixels[chosen].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        if (update + 1) % _CHECKPOINT_EVERY == 0 or update + 1 == updates:
            done = torch.stack(losses)
            if not torch.isfinite(done).all():
                first = int((~torch.isfinite(done)).nonzero()[0])
                raise UserError(
                    f"autoencoder: loss is {float(done[first])} at update {first}; lower pretrain.autoencoder.learning_rate"
                )
            temporary = path.with_name(path.name + ".tmp")
            torch.save(
                {
                    "networks": networks.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
                    "order": order.get_state(), "losses": done, "update": update + 1,
                },
                temporary,
            )  # fmt: skip
            temporary.replace(path)
    return encoder.eval(), torch.stack(losses).tolist()
