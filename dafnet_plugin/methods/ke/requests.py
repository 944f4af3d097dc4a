"""Edit requests as the hypernetwork reads them: prompt, old target, new target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dafnet_plugin.editing.modules import evaluation_mode, model_device
from dafnet_plugin.editing.scoring import scored_logits
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.tokens import Encoded, collate


@torch.no_grad()
def request_rows(
    model: nn.Module, texts: Sequence[Encoded], *, pad_id: int, batch_size: int
) -> Signal:
    """Requests as one more signal, so that they are chosen and joined like those of matrices.

    The old target is what the model says now at the tokens of the new one, given those before:
    where it says the new target already, both are the same.

    Returns:
        ``x`` [tokens, embedding_dim] are the embeddings of prompt, old and new target in a row,
        ``delta`` [tokens, 1] says which of the three a token is of.
    """
    old: list[Tensor] = []
    for start in range(0, len(texts), batch_size):
        some = texts[start : start + batch_size]
        batch = collate(some, pad_id).to(model_device(model))
        with evaluation_mode(model):
            tokens = scored_logits(model, batch).argmax(-1)
        old += tokens.split([len(text.ids) - text.target_start for text in some])
    ids, parts, lengths = [], [], []
    for text, said in zip(texts, old, strict=True):
        prompt, target = text.ids[: text.target_start], text.ids[text.target_start :]
        ids += [*prompt, *said.tolist(), *target]
        parts += [0] * len(prompt) + [1] * len(target) + [2] * len(target)
        lengths.append(len(prompt) + 2 * len(target))
    device = model_device(model)
    embeddings = model.get_input_embeddings()  # type: ignore[operator]
    x = embeddings(torch.tensor(ids, dtype=torch.long, device=device)).float()
    delta = torch.tensor(parts, device=device)[:, None].float()
    return Signal(x, delta, torch.tensor(lengths, dtype=torch.long, device=device))
