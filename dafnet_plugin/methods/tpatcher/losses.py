"""The losses of Transformer-Patcher (paper section 4.2, equations 7 to 10)."""

from __future__ import annotations

from torch import Tensor


def activation_loss(own: Tensor) -> Tensor:
    """``exp(-(k q + b))``: the patch fires for its own token; mean over patches.

    Args:
        own: [patches], the input of each patch's activation for its own token.
    """
    return (-own).exp().mean()


def memory_loss(
    remembered: Tensor, own: Tensor, threshold: float, margin: float, top: int
) -> Tensor:
    """Patches stay silent on what is remembered, absolutely and next to their own token.

    Args:
        remembered: [keys, patches], the inputs of the activations for the remembered keys.
        own: [patches], those for each patch's own token.
        threshold: ``beta``; ``margin``: ``gamma``.
        top: keys that count, the most active ones of each patch.
    """
    if not len(remembered):
        return own.new_zeros(())
    return _top_exp(remembered - threshold, top) + _top_exp(remembered - own - margin, top)


def _top_exp(values: Tensor, top: int) -> Tensor:
    """Mean of the exponentials of the ``top`` largest values of each column."""
    return values.topk(min(top, len(values)), dim=0).values.exp().mean()
