"""Second moments of keys from local text, in the files that ROME and MEMIT look for.

EasyEdit would download Wikipedia and compute for hours. What the methods need is the mean of
``x x^T`` over the inputs of the edited module, for text like that the model was trained on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dafnet_plugin.editing.modules import evaluation_mode
from dafnet_plugin.errors import DataError, ModelError
from dafnet_plugin.files import atomic_path


def statistics_path(
    stats_dir: str | Path,
    model_path: str,
    module: str,
    *,
    dataset: str,
    samples: int,
    dtype: str,
    version: Literal["wheel", "git"],
) -> Path:
    """Where this version of EasyEdit looks for the second moments of a module's inputs."""
    name = model_path.replace("/", "_") if version == "wheel" else model_path.rsplit("/")[-1]
    return Path(stats_dir) / name / f"{dataset}_stats" / f"{module}_{dtype}_mom2_{samples}.npz"


@torch.no_grad()
def write_second_moments(
    path: Path,
    model: Any,
    tokenizer: Any,
    module: str,
    texts: Sequence[str],
    *,
    samples: int,
    seed: int = 0,
    batch_size: int = 64,
) -> None:
    """Sum ``x x^T`` over all tokens of some texts and write it.

    Args:
        module: name of the module whose inputs x [tokens, d_in] count.
        texts: to draw from.
        samples: texts drawn; EasyEdit compares it with ``mom2_n_samples``.

    Raises:
        DataError: fewer texts than that.
        ModelError: the model has no such module.
    """
    if len(texts) < samples:
        raise DataError(f"mom2_n_samples: {samples}, but there are only {len(texts)} texts")
    try:
        target = model.get_submodule(module)
    except AttributeError as error:
        raise ModelError(f"rewrite_module_tmp: the model has no module {module!r}") from error
    drawn = random.Random(seed).sample(list(texts), samples)
    total: torch.Tensor | None = None
    count = 0
    mask = torch.empty(0)

    def add(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal total, count
        x = inputs[0][mask].float()  # [tokens, d_in]
        total = x.T @ x if total is None else total.addmm_(x.T, x)
        count += len(x)

    hook = target.register_forward_pre_hook(add)
    try:
        with evaluation_mode(model):
            for start in range(0, samples, batch_size):
                ids = tokenizer(drawn[start : start + batch_size])["input_ids"]
                width = max(map(len, ids))
                batch = torch.zeros(len(ids), width, dtype=torch.long)
                mask = torch.zeros(len(ids), width, dtype=torch.bool)
                for row, tokens in enumerate(ids):
                    batch[row, : len(tokens)] = torch.tensor(tokens)
                    mask[row, : len(tokens)] = True
                batch, mask = batch.to(model.device), mask.to(model.device)
                model(input_ids=batch, attention_mask=mask.long(), use_cache=False)
    finally:
        hook.remove()
    if total is None:
        raise ModelError(f"rewrite_module_tmp: the model does not run its module {module!r}")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        arrays: dict[str, Any] = {
            "sample_size": samples,
            "mom2.count": count,
            "mom2.mom2": total.cpu().numpy(),
            "mom2.constructor": "util.runningstats.SecondMoment()",
            "constructor": "util.runningstats.CombinedStat()",
        }
        np.savez(file, **arrays)
