"""The file that EasyEdit's ``EditTrainer`` saves when it trains DAFNet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.errors import CheckpointError


def read_trainer_archive(path: str | os.PathLike[str]) -> dict[str, Tensor] | None:
    """Read the state of DAFNet from such a file; no code in it is run.

    Returns:
        tensors by name, or None if the file is in the published DAFNet format.

    Raises:
        CheckpointError: neither of the two, or more than tensors and plain containers.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and I/O errors alike: the file is of no use
        raise CheckpointError(
            f"{path}: neither a published DAFNet checkpoint nor an archive of EasyEdit's trainer: "
            f"{error}"
        ) from error
    if not isinstance(data, dict) or "model" not in data:
        return None
    state = data["model"]
    if not isinstance(state, dict) or "edit_lrs" not in state:
        raise CheckpointError(f"{path}: an archive of EasyEdit's trainer, but not of DAFNet")
    return state


def load_trainer_state(
    dafnet: DAFNet, state: Mapping[str, Tensor], edit_modules: Sequence[str], where: str
) -> None:
    """Give a DAFNet the weights of an archive.

    Args:
        dafnet: untrained, for the modules of the model.
        edit_modules: their names.
        where: the archive's name, for messages.

    Raises:
        CheckpointError: trained for other modules, or with other ``network`` or ``fusion``
            settings; names modules, tensors and shapes.
    """
    trained = {name.split(".")[1] for name in state if name.startswith("networks.")}
    needed = [f"{d_in}x{d_out}" for d_in, d_out in dafnet.shapes]
    if trained != set(needed) or len(state["edit_lrs"]) != len(needed):
        raise CheckpointError(
            f"{where}: trained for {len(state['edit_lrs'])} modules of the shapes (d_in x d_out) "
            f"{', '.join(sorted(trained))}; the modules to be edited are "
            + ", ".join(f"{n} ({shape})" for n, shape in zip(edit_modules, needed, strict=True))
        )
    ours = dafnet.state_dict()
    problems = [f"{name} is missing" for name in ours.keys() - state.keys()]
    problems += [f"{name} is not expected" for name in state.keys() - ours.keys()]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(ours[name].shape)}"
        for name in ours.keys() & state.keys()
        if state[name].shape != ours[name].shape
    ]
    if problems:
        raise CheckpointError(
            f"{where}: does not fit `network` and `fusion` of the hyper-parameters, which have to "
            f"be those of training: {'; '.join(sorted(problems)[:3])}"
            + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        )
    dafnet.load_state_dict(state)
