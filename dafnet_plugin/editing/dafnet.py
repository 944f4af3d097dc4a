"""DAFNet: auxiliary networks, one for each module shape, and the fusion of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.amp import is_autocast_available

from dafnet_plugin.editing.fusion import (
    FusionConfig,
    FusionState,
    extend,
    outer_product_update,
    proposed_changes,
    solve,
    whitener,
)
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.network import (
    AuxiliaryNetwork,
    NetworkConfig,
    NetworkOutput,
    NetworkState,
    Standardiser,
)


@dataclass(frozen=True)
class SequenceState:
    """Everything DAFNet remembers of a sequence of edits; immutable, so undoing is keeping.

    Attributes:
        edits: how many edits it covers.
        networks: one state a network, of the modules it handles, in their order.
        updates: one accumulated update a module.
    """

    edits: int
    networks: tuple[NetworkState, ...]
    updates: tuple[FusionState, ...]


class DAFNet(nn.Module):
    """The meta-trained part of the method.

    Args:
        shapes: (d_in, d_out) of each edited module; modules of one shape share a network.
        network: sizes and variants of the auxiliary networks.
        fusion: how the updates of a sequence become one.
        edit_bias: also edit the modules' biases (not with ``least_squares``).
    """

    edit_lrs: Tensor
    log_ridge: Tensor

    def __init__(
        self,
        shapes: Sequence[tuple[int, int]],
        network: NetworkConfig,
        fusion: FusionConfig,
        edit_bias: bool = False,
    ) -> None:
        super().__init__()
        self.shapes = tuple(shapes)
        self.fusion = fusion
        self.edit_bias = edit_bias
        # The modules that each network handles, in the order of its embeddings.
        self.modules_of = {
            _key(shape): [n for n, one in enumerate(self.shapes) if one == shape]
            for shape in dict.fromkeys(self.shapes)
        }
        self.networks = nn.ModuleDict(
            {
                key: AuxiliaryNetwork(*self.shapes[modules[0]], len(modules), network)
                for key, modules in self.modules_of.items()
            }
        )
        self.edit_lrs = nn.Parameter(torch.full((len(self.shapes),), fusion.edit_lr))
        if fusion.kind == "least_squares":
            self.log_ridge = nn.Parameter(torch.full((len(self.shapes),), fusion.ridge).log())
            for number, (d_in, _) in enumerate(self.shapes):
                # Until statistics are set, keys count as they are.
                self.register_buffer(f"key_moment_{number}", torch.eye(d_in))
            self._whiteners: dict[int, tuple[Tensor, int, Tensor]] = {}

    def place(self, devices: Sequence[torch.device]) -> DAFNet:
        """Put everything beside the modules it is for, which may be on several devices.

        Args:
            devices: one a module. A network that several modules share goes to the first one's,
                and so do the learning rates.
        """
        for name, network in self.networks.items():
            network.to(devices[self.modules_of[name][0]])
        self.edit_lrs = _moved(self.edit_lrs, devices[0])
        if self.fusion.kind == "least_squares":
            self.log_ridge = _moved(self.log_ridge, devices[0])
            for number, device in enumerate(devices):
                name = f"key_moment_{number}"
                setattr(self, name, getattr(self, name).to(device))
        return self

    # -- what is fixed before training --------------------------------------------------------

    @torch.no_grad()
    def standardise_on(self, signals: Sequence[Signal]) -> None:
        """Fix mean and standard deviation of the networks' inputs from training signals."""
        for number, signal in enumerate(signals):
            normaliser = self.network_of(number).normaliser
            if isinstance(normaliser, Standardiser):
                rows = torch.cat([signal.x, signal.delta], 1)
                normaliser.observe(rows.to(normaliser.mean.device))

    @torch.no_grad()
    def preserve(self, key_moments: Sequence[Tensor]) -> None:
        """Set the second moments [d_in, d_in] of the keys that edits shall leave alone."""
        for number, moment in enumerate(key_moments):
            getattr(self, f"key_moment_{number}").copy_(moment)

    @property
    def key_moments(self) -> list[Tensor]:
        """What :meth:`preserve` set."""
        return [getattr(self, f"key_moment_{number}") for number in range(len(self.shapes))]

    def whitener(self, number: int) -> Tensor:
        """[d_in, d_in], see :func:`dafnet_plugin.editing.fusion.whitener`; computed once."""
        moment = getattr(self, f"key_moment_{number}")
        # Statistics may be set, loaded or moved to another device or dtype at any time.
        known = self._whiteners.get(number)
        if known is None or known[0] is not moment or known[1] != moment._version:
            known = (moment, moment._version, whitener(moment, self.fusion.preserve_shrinkage))
            self._whiteners[number] = known
        return known[2]

    def prior(self, number: int) -> Tensor:
        """[d_in, d_in]: covariance of least squares before the first edit."""
        root = self.whitener(number)
        return (root @ root.T) / self.log_ridge[number].exp().to(root.device)

    def network_of(self, number: int) -> AuxiliaryNetwork:
        """The network that handles module ``number``."""
        network = self.networks[_key(self.shapes[number])]
        assert isinstance(network, AuxiliaryNetwork)
        return network

    # -- editing ------------------------------------------------------------------------------

    def start(self) -> SequenceState | None:
        """The state before any edit."""
        return None

    def forward(
        self, signals: Sequence[Signal], past: SequenceState | None = None
    ) -> SequenceState:
        """Fuse new edits into a sequence.

        Args:
            signals: one a module, all with the same number of new edits.
            past: state after the edits before; None at the start of a sequence.

        Returns:
            the state after the new edits; ``updates`` are differentiable.
        """
        networks: list[NetworkState] = []
        updates: dict[int, FusionState] = {}
        for place, (key, modules) in enumerate(self.modules_of.items()):
            network = self.networks[key]
            there = next(network.parameters()).device
            outputs, state = network(
                [torch.cat([signals[m].x, signals[m].delta], 1).to(there) for m in modules],
                [signals[m].tokens_per_edit.to(there) for m in modules],
                range(len(modules)),
                past.networks[place] if past else None,
            )
            networks.append(state)
            for module, out in zip(modules, outputs, strict=True):
                device = signals[module].x.device  # where the module is
                with _exactly(device):
                    before = past.updates[module] if past else None
                    updates[module] = self._fuse(
                        module, signals[module], out.to(device).full(), before
                    )
        edits = signals[0].tokens_per_edit.shape[0] + (past.edits if past else 0)
        in_order = tuple(updates[module] for module in range(len(self.shapes)))
        return SequenceState(edits, tuple(networks), in_order)

    def _fuse(
        self, number: int, signal: Signal, out: NetworkOutput, past: FusionState | None
    ) -> FusionState:
        if self.fusion.kind == "least_squares":
            try:
                return self._least_squares(number, signal, out, past)
            except torch.linalg.LinAlgError as error:
                raise NumericalError(
                    f"least squares of module {number} has no solution (NaN, or a ridge too "
                    f"small): {error}"
                ) from error
        if self.fusion.kind == "running_mean":
            # An edit without any token changes nothing; its count must not divide by zero.
            scale = out.update_scale / signal.tokens_per_edit.clamp_min(1)
            keep = out.past_update_scale
        else:
            scale, keep = torch.ones_like(out.update_scale), torch.ones_like(out.past_update_scale)
        weight, bias = outer_product_update(out, scale)
        edit_lr = self.edit_lrs[number].to(weight.device)
        weight, bias = edit_lr * weight, edit_lr * bias
        if past is not None:
            weight = keep * past.weight + weight
            bias = keep * past.bias + bias if past.bias is not None else bias
        return FusionState(weight, bias if self.edit_bias else None, None)

    def _least_squares(
        self, number: int, signal: Signal, out: NetworkOutput, past: FusionState | None
    ) -> FusionState:
        device = signal.x.device
        changes = proposed_changes(out, self.edit_lrs[number].to(device))
        ridge = self.log_ridge[number].to(device).exp()
        root = self.whitener(number).to(device)
        if torch.is_grad_enabled():
            # Meta-training: all edits at once, differentiable; there is no past to extend.
            assert past is None
            return FusionState(root @ solve(signal.x @ root, changes, ridge), None, None)
        if past is None:
            prior = self.prior(number).to(device)
            past = FusionState(root.new_zeros(self.shapes[number]), None, prior)
        return extend(past, signal.x, changes, self.fusion.chunk)


def _exactly(device: torch.device) -> AbstractContextManager[None]:
    """Where an autocast that holds for the network does not."""
    kind = device.type
    return torch.autocast(kind, enabled=False) if is_autocast_available(kind) else nullcontext()


def _moved(parameter: Tensor, device: torch.device) -> nn.Parameter:
    assert isinstance(parameter, nn.Parameter)
    if parameter.device == device:
        return parameter  # the same object: an optimiser may know it
    return nn.Parameter(parameter.detach().to(device), parameter.requires_grad)


def _key(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"
