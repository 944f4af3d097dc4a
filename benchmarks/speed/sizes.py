"""What is measured, at full size and as a smoke test."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dafnet_plugin.network import NetworkConfig


@dataclass(frozen=True)
class ModelSize:
    """Of a random GPT-2.

    Attributes:
        edited: of so many last layers both matrices of the MLP are edited as published; shipped,
            the last one of each.
    """

    layers: int
    width: int
    heads: int
    vocabulary: int
    edited: int = 3


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        smoke: memory is counted in this process instead of read from one of its own, whose
            libraries alone would be larger.
        model: of all measurements of time.
        wide: of the memory of editing, where one copy of it is to be seen above the noise.
        grown: of memory against the model's size, small to large.
        words: vocabulary of the measurement of the loss.
        network, shipped: of the auxiliary network, as published and as shipped.
        steps: edits of a training step, those that the plain version is measured with, too.
        long_step: likewise, ours alone.
        positions: of edits in a sequence where time is taken; the last is its length.
        early: the position that growth is relative to.
        burst: edits made for one time at a position.
        consolidated: edits of a sequence with consolidation.
        repeats: of everything that is timed, at least 5 at full size.
        forwards: forward passes for one time.
        texts: of a forward pass.
        lengths: of texts in tokens in the measurement of the loss.
        probe: numbers of the tensor whose copy gives the bandwidth, and rows of the matrix whose
            square gives the rate of operations.
        world: scale of the tiny world.
        iterations, validations: of meta-training; 0 for those of its file.
        base_steps: of training the tiny world's base model; 0 until it knows its facts.
    """

    smoke: bool
    model: ModelSize
    wide: ModelSize
    grown: tuple[ModelSize, ...]
    words: int
    network: NetworkConfig
    shipped: NetworkConfig
    steps: tuple[int, ...]
    long_step: int
    positions: tuple[int, ...]
    early: int
    burst: int
    consolidated: int
    repeats: int
    forwards: int
    texts: int
    lengths: tuple[int, int]
    probe: tuple[int, int]
    world: float
    iterations: int
    base_steps: int


_PUBLISHED = NetworkConfig(
    layers=2, intra_dim=128, inter_dim=128, inter_heads=2, gate_dim=32, gate_heads=2, ffn_dim=192
)  # an eighth of the published widths
_SHIPPED = NetworkConfig(
    layers=2,
    intra_dim=128,
    inter_dim=64,
    inter_heads=2,
    gate_dim=16,
    gate_heads=2,
    ffn_dim=128,
    normaliser="standardise",
    block="residual",
    gate="consistent",
)  # hparams/TRAINING/DAFNET/tiny-gpt2.yaml
_BASE = ModelSize(layers=4, width=192, heads=4, vocabulary=4000)  # as the tiny world's

FULL = Sizes(
    smoke=False,
    model=_BASE,
    wide=replace(_BASE, width=384),
    grown=tuple(replace(_BASE, layers=n, width=w) for n, w in ((4, 192), (6, 384), (8, 512))),
    words=128_000,
    network=_PUBLISHED,
    shipped=_SHIPPED,
    steps=(1, 10, 100),
    long_step=1000,
    positions=(1, 10, 30, 100, 300, 1000),
    early=10,
    burst=3,
    consolidated=80,
    repeats=5,
    forwards=10,
    texts=64,
    lengths=(16, 128),
    probe=(2**26, 2048),
    world=1.0,
    iterations=0,
    base_steps=0,
)

_TINY = NetworkConfig(
    layers=2, intra_dim=8, inter_dim=6, inter_heads=2, gate_dim=4, gate_heads=2, ffn_dim=8
)
_SMALL = ModelSize(layers=3, width=16, heads=2, vocabulary=300, edited=2)

SMOKE = Sizes(
    smoke=True,
    model=_SMALL,
    wide=_SMALL,
    grown=(_SMALL, replace(_SMALL, width=32)),
    words=1000,
    network=_TINY,
    shipped=replace(_TINY, normaliser="standardise", block="residual", gate="consistent"),
    steps=(1, 3),
    long_step=6,
    positions=(1, 2, 4, 8),
    early=2,
    burst=1,
    consolidated=5,
    repeats=2,
    forwards=1,
    texts=4,
    lengths=(8, 32),
    probe=(2**14, 64),
    world=0.3,
    iterations=2,
    base_steps=4,
)
