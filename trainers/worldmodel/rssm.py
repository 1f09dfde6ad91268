"""Recurrent state-space model: a block-diagonal GRU with categorical latents (DreamerV3, section "World model learning")."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trainers.worldmodel.config import ModelConfig
from trainers.worldmodel.layers import BlockLinear, NormSilu, linear
from trainers.worldmodel.losses import unimix
from trainers.worldmodel.scan import scan
from trainers.worldmodel.scan_types import ScanWeights
from trainers.worldmodel.types import Posterior, State


class RSSM(nn.Module):
    """h[t] = GRU(h[t-1], z[t-1], a[t]), prior(z[t] | h[t]), posterior(z[t] | h[t], embed[t]).

    A linear map of a concatenation is written as a sum of maps, so that whatever does not depend on the recurrent state
    is computed for all steps at once, before the scan; the prior is computed once, after it.
    """

    def __init__(self, config: ModelConfig, embed_dim: int) -> None:
        super().__init__()
        self._stoch, self._classes, self._blocks = config.stoch, config.classes, config.blocks
        self._deter = config.deter
        hidden, flat = config.hidden, config.stoch * config.classes
        core_in = config.deter // config.blocks + 3 * hidden  # what each block of the core reads
        self.deter_in, self.deter_norm = linear(config.deter, hidden), NormSilu(hidden)
        self.stoch_in, self.stoch_norm = linear(flat, hidden), NormSilu(hidden)
        self.action_in, self.action_norm = linear(config.action_dim, hidden), NormSilu(hidden)
        self.core_deter = BlockLinear(config.deter, config.deter, config.blocks, core_in)
        self.core_state = linear(2 * hidden, config.deter, bias=False, fan_in=core_in)
        self.core_action = linear(hidden, config.deter, fan_in=core_in)
        self.core_norm = NormSilu(config.deter)
        self.gates = BlockLinear(config.deter, 3 * config.deter, config.blocks)
        self.gates_bias = nn.Parameter(torch.zeros(config.blocks, 3 * config.deter // config.blocks))
        self.post_deter = linear(config.deter, hidden, bias=False, fan_in=config.deter + embed_dim)
        self.post_embed = linear(embed_dim, hidden, fan_in=config.deter + embed_dim)
        self.post_norm, self.post_out = NormSilu(hidden), linear(hidden, flat)
        self.prior = nn.Sequential(
            linear(config.deter, hidden), NormSilu(hidden), linear(hidden, hidden), NormSilu(hidden), linear(hidden, flat)
        )

    def initial(self, batch: int) -> State:
        """Zeros, [batch, ...]."""
        zeros = self.gates_bias.new_zeros
        return State(zeros(batch, self._deter), zeros(batch, self._stoch, self._classes))

    def draw(
        self, length: int, batch: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "{length} {batch} S K"]:  # fmt: skip
        """Noise to sample the latents of windows with, float [L, B, S, K]."""
        like = self.gates_bias
        made = torch.rand((length, batch, self._stoch, self._classes), generator=generator, dtype=like.dtype, device=like.device)
        return made.log_().neg_()  # five times as fast as `exponential_` on a CPU

    def observe(
        self,
        embed: Float[Tensor, "B L E"],
        action: Float[Tensor, "B L A"],
        is_first: Bool[Tensor, "B L"],
        state: State,
        noise: Float[Tensor, "L B S K"] | None = None,
    ) -> Posterior:
        """Filter windows.

        Args:
            embed: float [B, L, E].
            action: float [B, L, A], led to each row.
            is_first: bool [B, L]; the state before such a row, and the action that led to it, are zeroed.
            state: before the first row, [B, ...].
            noise: of `draw`, float [L, B, S, K]; None: latents are the most probable classes.
        """
        keep = (~is_first).to(embed.dtype).unsqueeze(-1)  # (B, L, 1)
        parts = self._action_part(action * keep), self.post_embed(embed), keep
        actions, embeds, keeps = (part.transpose(0, 1).contiguous() for part in parts)  # (L, B, ...)
        if noise is None:
            noise = embeds.new_ones(()).expand(*embeds.shape[:2], self._stoch, self._classes)
        made = scan(actions, embeds, keeps, noise, state.deter, state.stoch.flatten(1), self._scan_weights())
        deter, stoch, probs = (part.transpose(0, 1).contiguous() for part in made)
        return Posterior(State(deter, stoch), probs.log(), self.prior_probs(deter).log())

    def _scan_weights(self) -> ScanWeights:
        return ScanWeights(
            self.deter_in.weight, self.deter_in.bias, self.stoch_in.weight, self.stoch_in.bias,
            torch.stack([self.deter_norm.scale, self.stoch_norm.scale]), self.core_state.weight, self.core_deter.weight,
            self.core_norm.scale, self.gates.weight, self.gates_bias, self.post_deter.weight, self.post_norm.scale,
            self.post_out.weight, self.post_out.bias,
        )  # fmt: skip

    def prior_probs(self, deter: Float[Tensor, "*n deter"]) -> Float[Tensor, "*n S K"]:
        """Probabilities [..., S, K] of the latent before its observation."""
        return self._probs(self.prior(deter))

    def observe_step(
        self, state: State, embed: Float[Tensor, "B E"], action: Float[Tensor, "B A"], is_first: Bool[Tensor, " B"], sample: bool
    ) -> State:
        """One row of `observe`: states, embeddings [B, E], actions [B, A] and flags [B] -> State [B, ...]."""
        keep = (~is_first).to(embed.dtype).unsqueeze(-1)
        deter = self._core(state.deter * keep, state.stoch.flatten(-2) * keep, self._action_part(action * keep))
        prob = self._probs(self.post_out(self.post_norm(self.post_deter(deter) + self.post_embed(embed))))
        return State(deter, straight_through(prob, _noise(prob, prob.shape, sample)))

    def imagine_step(self, state: State, action: Float[Tensor, "B A"], sample: bool) -> State:
        """One step without observation: State [B, ...], action [B, A] -> State [B, ...]."""
        deter = self._core(state.deter, state.stoch.flatten(-2), self._action_part(action))
        prob = self.prior_probs(deter)
        return State(deter, straight_through(prob, _noise(prob, prob.shape, sample)))

    def _action_part(self, action: Tensor) -> Tensor:
        """What the action adds to the core's input, [..., A] -> [..., deter]; larger actions are scaled to 1 (upstream)."""
        bounded = action / action.detach().abs().clamp(min=1)
        return self.core_action(self.action_norm(self.action_in(bounded)))

    def _core(self, deter: Tensor, stoch: Tensor, action_part: Tensor) -> Tensor:
        """The GRU: (B, deter), (B, S * K), (B, deter) -> (B, deter)."""
        parts = (self.deter_norm(self.deter_in(deter)), self.stoch_norm(self.stoch_in(stoch)))
        x = self.core_state(torch.cat(parts, -1)) + action_part + self.core_deter(deter).flatten(1)
        gates = self.gates(self.core_norm(x)) + self.gates_bias  # (B, G, 3 * deter / G)
        reset, candidate, update = gates.chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate).flatten(1)
        update = torch.sigmoid(update - 1).flatten(1)
        return torch.lerp(deter, candidate, update)

    def _probs(self, logits: Tensor) -> Tensor:
        """(..., S * K) -> (..., S, K), in the weights' precision."""
        return unimix(logits.to(self.gates_bias.dtype).unflatten(-1, (self._stoch, self._classes)))


def _noise(like: Tensor, shape: tuple[int, ...], sample: bool) -> Tensor:
    """Exponential noise e for `straight_through`: argmax p / e is a sample of p (the exponential race); ones give the mode."""
    if sample:  # five times as fast as `exponential_` on a CPU
        return torch.rand(shape, dtype=like.dtype, device=like.device).log_().neg_()
    return like.new_ones(()).expand(shape)


def straight_through(probs: Float[Tensor, "*n K"], noise: Float[Tensor, "*n K"]) -> Float[Tensor, "*n K"]:
    """One-hot [..., K] of the largest `probs / noise`, whose gradient is that of `probs` (DreamerV2, algorithm 1)."""
    with torch.no_grad():
        hot = torch.zeros_like(probs).scatter_(-1, (probs / noise).argmax(-1, keepdim=True), 1.0)
    return hot + (probs - probs.detach()) if probs.requires_grad else hot
