"""The losses of meta-training (paper section 3.4), and of consolidation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def target_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Reliability or generality: negative log-likelihood in nats, mean over target tokens.

    Args:
        logits: [tokens, vocabulary] of the edited model.
        labels: [tokens].
    """
    return F.cross_entropy(logits, labels)


def locality_kl(before: Tensor, after: Tensor) -> Tensor:
    """Locality: KL(unedited || edited) in nats, mean over tokens; both [tokens, vocabulary]."""
    return F.kl_div(
        after.log_softmax(-1), before.log_softmax(-1), reduction="batchmean", log_target=True
    )
