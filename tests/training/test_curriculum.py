"""How long the sequences of meta-training get."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from dafnet_plugin.training.curriculum import Plateau, Ramp


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("progress", "longest"), [(0.0, 1), (0.25, 10), (0.375, 32), (0.5, 100), (0.9, 100)]
)
def test_a_ramp_rises_geometrically_and_stays(progress: float, longest: int) -> None:
    ramp, random = Ramp(100, 0.5), generator()
    drawn = [ramp.draw(progress, random) for _ in range(2000)]
    assert ramp.longest == longest
    assert min(drawn) == 1 and max(drawn) <= longest
    if longest > 1:
        assert max(drawn) >= 0.9 * longest


def test_a_ramp_draws_log_uniformly() -> None:
    ramp, random = Ramp(1000, 0.5), generator()
    drawn = [ramp.draw(1.0, random) for _ in range(6000)]
    for low, high in ((1, 10), (10, 100), (100, 1000)):
        share = sum(low <= n * 1.0 < high or (n == 1000 == high) for n in drawn) / len(drawn)
        assert abs(share - 1 / 3) < 0.04


def test_a_ramp_without_a_share_starts_at_the_top() -> None:
    ramp = Ramp(50, 0.0)
    ramp.draw(0.0, generator())
    assert ramp.longest == 50


def test_the_same_seed_draws_the_same_lengths() -> None:
    for make in (lambda: Ramp(100, 0.5), lambda: Plateau(100, 5, longest=100)):
        first, second = (
            [make().draw(1.0, random) for _ in range(1)] + [make().draw(0.7, random)]
            for random in (generator(3), generator(3))
        )
        assert first == second


def test_a_plateau_draws_uniformly() -> None:
    plateau, random = Plateau(100, 5, longest=4), generator()
    drawn = Counter(plateau.draw(0.0, random) for _ in range(4000))
    assert set(drawn) == {1, 2, 3, 4}
    assert all(abs(count / 4000 - 0.25) < 0.04 for count in drawn.values())


def test_a_plateau_does_not_grow_while_the_loss_falls() -> None:
    plateau = Plateau(100, 3)
    for step in range(200):
        plateau.observe(1 / (step + 1))
    assert plateau.longest == 1


def test_a_plateau_grows_by_a_quarter_and_at_least_ten_up_to_the_most() -> None:
    plateau, seen = Plateau(100, 3), [1]
    for _ in range(200):
        plateau.observe(1.0)  # constant: never better than the best
        if plateau.longest != seen[-1]:
            seen.append(plateau.longest)
    assert seen == [1, 11, 21, 31, 41, 51, 64, 80, 100]


@pytest.mark.parametrize(("longest", "iterations"), [(1, 101), (10, 101), (100, 51), (1000, 34)])
def test_patience_shrinks_with_the_logarithm_of_the_length(longest: int, iterations: int) -> None:
    """Patience 100 divided by max(1, log10 N); one more than that many without improvement."""
    plateau = Plateau(10_000, 100, longest=longest)
    plateau.observe(1.0)  # the first is the best so far
    count = 0
    while plateau.longest == longest:
        plateau.observe(1.0)
        count += 1
    assert count == iterations


def test_the_running_loss_has_factor_one_hundredth() -> None:
    plateau = Plateau(10, 5)
    assert math.isinf(plateau.running_loss)
    plateau.observe(2.0)
    plateau.observe(12.0)
    assert plateau.running_loss == pytest.approx(0.99 * 2 + 0.01 * 12)
