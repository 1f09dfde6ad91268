"""Several models of one kind and size as one batched program: every parameter has an axis of models, every product is a batch.

Each has its own windows, noise, optimiser state and clipping, and ends as if it had been trained alone, up to the order in which
sums are taken. Vectors of fewer dimensions are padded with zeros: what reads or makes the padding starts at zero and, having a
gradient of zero, stays there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad
from torch.utils._pytree import tree_map

from datasets.errors import UserError
from trainers.arithmetic import cast
from trainers.graph import Graphed
from trainers.models import Loss, Metrics, Model
from trainers.update import Rules, Split, adam, load_optimiser, set_rates, with_norm
from trainers.worldmodel.types import Batch


class Together:
    """The update of several models (see `trainers.update.Update`)."""

    def __init__(self, models: Sequence[Model], seeds: Sequence[int], rules: Rules, device: torch.device, split: Split) -> None:
        """
        Args:
            models: on `device`, with configurations that differ at most in the length of the vectors that are observed.
            seeds: of each one's noise.
            rules: clipping and precision, of one process.
            device: that batches are on.
            split: where time is counted.

        Raises:
            UserError: the models are not of one size, or there are several processes.
        """
        if rules.world > 1:
            raise UserError("several models train together in one process, or one after another in several: not both")
        self._models, self._rules, self._split, self._device = list(models), rules, split, device
        self._shell = _Calls(widest(models).to(device))
        fresh, buffers = self._shell.model.state_dict(), {name for name, _ in self._shell.model.named_buffers()}
        empty = {name: like if name in buffers else torch.zeros_like(like) for name, like in fresh.items()}
        own = [model.state_dict() for model in models]
        self._shapes = [{name: value.shape for name, value in each.items()} for each in own]
        self._sizes = [size_of(model) for model in (*models, self._shell.model)]
        self._empty = empty
        learned = {name for name, parameter in self._shell.model.named_parameters() if parameter.requires_grad}
        self._held: dict[str, Tensor] = {
            name: nn.Parameter(stacked) if name in learned else stacked
            for name, stacked in ((name, self._stack(name, [each[name] for each in own])) for name in fresh)
        }
        names = {id(parameter): name for name, parameter in self._shell.model.named_parameters()}
        self._learned = {
            of: [names[id(p)] for group in groups for p in group.parameters] for of, groups in self._shell.model.groups().items()
        }
        self._groups = {
            of: [group._replace(parameters=[self._held[names[id(p)]] for p in group.parameters]) for group in groups]
            for of, groups in self._shell.model.groups().items()
        }
        self._optimisers = {of: adam(groups, device) for of, groups in self._groups.items()}
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._run = Graphed(self._losses, device)
        self.names: list[str] = []

    def __call__(self, batches: Sequence[Batch], rate: float) -> Tensor:
        self._split.counting = not self._run.captured
        with self._split.on("data"):
            windows, length = batches[0].reward.shape
            noises = [
                model.draw(windows, length, own) for model, own in zip(self._models, self._generators, strict=True)
            ]  # fmt: skip
            batch, noise = self._stacked_batch(batches), tree_map(lambda *each: torch.stack(each), *noises)
        for of, optimiser in self._optimisers.items():
            set_rates(optimiser, self._groups[of], rate)
        return self._run(batch, noise)

    def _stacked_batch(self, batches: Sequence[Batch]) -> Batch:
        if len(set(self._sizes)) > 1:
            widest = self._sizes[-1]
            batches = [b._replace(observation=pad(b.observation, (0, widest - b.observation.shape[-1]))) for b in batches]
        return Batch._make(None if values[0] is None else torch.stack(values) for values in zip(*batches, strict=True))

    def _losses(self, batch: Batch, noise: Any) -> Tensor:
        metrics: Metrics = {}
        carried: Any = ()
        for of, groups in self._groups.items():
            with self._split.on("forward"), cast(self._device, self._rules.precision):
                loss: Loss = self._each("minimised", of, batch, noise, carried)
            carried = loss.carried
            with self._split.on("backward"):
                self._optimisers[of].zero_grad()
                loss.value.sum().backward()
            with self._split.on("optimiser"):
                norms = clipped_([p for group in groups for p in group.parameters], self._rules.clip)
                self._optimisers[of].step()
            metrics |= with_norm(metrics, loss.metrics, of, norms)
        with self._split.on("optimiser"), torch.no_grad():
            self._each("settle")
        self.names = list(metrics)
        return torch.stack(list(metrics.values()), 1)

    def _each(self, call: str, *given: Any) -> Any:
        """A method of the model, of every model at once: tensors have a first axis of models, other values are shared."""

        def one(held: dict[str, Tensor], *values: Any) -> Any:
            return functional_call(self._shell, {f"model.{name}": value for name, value in held.items()}, (call, *values))

        dims = tree_map(lambda value: 0 if isinstance(value, Tensor) else None, (self._held, *given))
        with sdpa_kernel(SDPBackend.MATH):  # the others cannot be batched
            return vmap(one, in_dims=dims)(self._held, *given)

    def _stack(self, name: str, values: Sequence[Tensor]) -> Tensor:
        """Models' values of one parameter, padded, on a first axis."""
        made = self._empty[name].expand(len(values), *self._empty[name].shape).clone()
        for number, value in enumerate(values):
            cut(made[number], value.shape, self._sizes[number], self._sizes[-1]).copy_(
                split(value, value.shape, self._sizes[number], made[number].shape)
            )
        return made

    def _own(self, number: int, name: str, stacked: Tensor) -> Tensor:
        """One model's part of a stacked parameter, without padding."""
        shape = self._shapes[number][name]
        return cut(stacked[number], shape, self._sizes[number], self._sizes[-1]).reshape(shape).clone()

    def contents(self) -> list[dict[str, Any]]:
        return [self._content(number) for number in range(len(self._models))]

    def _content(self, number: int) -> dict[str, Any]:
        weights = {name: self._own(number, name, held.detach()) for name, held in self._held.items()}
        optimisers = {}
        for of, optimiser in self._optimisers.items():
            whole = optimiser.state_dict()
            states = {
                index: {key: value.clone() if key == "step" else self._own(number, name, value) for key, value in state.items()}
                for (index, state), name in zip(sorted(whole["state"].items()), self._learned[of], strict=True)
            }
            optimisers[of] = {"state": states, "param_groups": whole["param_groups"]}
        return {"weights": weights, "optimisers": optimisers, "noise": self._generators[number].get_state()}

    def load(self, contents: Sequence[Mapping[str, Any]]) -> None:
        with torch.no_grad():
            for name, held in self._held.items():
                held.copy_(self._stack(name, [content["weights"][name] for content in contents]))
        for of, optimiser in self._optimisers.items():
            each = [content["optimisers"][of]["state"] for content in contents]
            states = {
                index: {
                    key: value.clone() if key == "step" else self._stack(name, [state[index][key] for state in each])
                    for key, value in each[0][index].items()
                }
                for index, name in enumerate(self._learned[of])
            }
            load_optimiser(optimiser, {"state": states})
        for generator, content in zip(self._generators, contents, strict=True):
            generator.set_state(content["noise"].cpu())

    def release(self) -> None:
        for number, model in enumerate(self._models):
            model.load_state_dict({name: self._own(number, name, held.detach()) for name, held in self._held.items()})


class _Calls(nn.Module):
    """A model whose methods can be called by `functional_call`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: str, *given: Any) -> Any:
        made = getattr(self.model, call)(*given)
        return () if made is None else made


def size_of(model: Model) -> int:
    """The length of the vectors that a model observes, or the first axis of what else it does."""
    return int(model.config.observation_shape[0])


def widest(models: Sequence[Model]) -> Any:
    """A freshly built model of the longest vectors among those of `models`.

    Raises:
        UserError: they differ in more than that.
    """
    sizes = [size_of(model) for model in models]
    chosen: Any = models[sizes.index(max(sizes))]
    most = chosen.config.observation_shape
    for model in models:
        config: Any = model.config
        same = type(model) is type(chosen) and replace(config, observation_shape=most) == chosen.config
        if not same or (config.observation_shape != most and getattr(config, "kind", None) != "vector"):
            raise UserError(
                "models train together where they differ in nothing but the length of the vectors that they read: "
                f"{config} is not like {chosen.config}; train them apart"
            )
    return type(chosen)(chosen.config)


def clipped_(parameters: Sequence[Tensor], most: float) -> Tensor:
    """Scale each model's gradients down to a global norm of `most`, in place; the norms before [models]."""
    grads = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(grad.reshape(len(grad), -1), dim=1) for grad in grads])
    norm = torch.linalg.vector_norm(norms, dim=0)
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(factor.view(-1, *[1] * (grad.dim() - 1)))
    return norm


def cut(padded: Tensor, shape: torch.Size, size: int, most: int) -> Tensor:
    """A view of the entries of a padded tensor that one of `shape` has: along a longer axis, the first `size` of every `most`."""
    for axis in reversed(range(len(shape))):
        if padded.shape[axis] != shape[axis]:
            pieces = shape[axis] // size
            padded = padded.unflatten(axis, (pieces, most)).narrow(axis + 1, 0, size)
    return padded


def split(value: Tensor, shape: torch.Size, size: int, padded: torch.Size) -> Tensor:
    """A tensor of `shape` with the axes that `cut` gives it."""
    for axis in reversed(range(len(shape))):
        if padded[axis] != shape[axis]:
            value = value.unflatten(axis, (shape[axis] // size, size))
    return value
