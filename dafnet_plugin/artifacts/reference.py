"""Reading the published checkpoint format into our networks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_LAYER = {
    "inner_att.trans1": "intra.transform",
    "inner_att.trans2": "intra.score",
    "outer_att.lq": "inter.query",
    "outer_att.lk": "inter.key",
    "outer_att.lv": "inter.value",
    "outer_att.lo": "inter.output",
    "outer_att_score.lq": "scale_attention.query",
    "outer_att_score.lk": "scale_attention.key",
    "feedforward.fc1": "ffn_in",
    "feedforward.fc2": "ffn_out",
    "layer_norm1": "norm_intra",
    "layer_norm2": "norm_inter",
    "layer_norm3": "norm_ffn",
    "mode_scale": "module_scale",
    "mode_shift": "module_shift",
}


def network_state_from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the parameters and buffers of one published auxiliary network to ours.

    Args:
        state: names as published (``norm_layer.*``, ``dafnet_model.layers.i.*``).

    Raises:
        KeyError: a name that the published format does not have.
    """
    return {our_name(name): tensor for name, tensor in state.items()}


def our_name(name: str) -> str:
    """Return our name of one published parameter or buffer."""
    if name.startswith("norm_layer."):
        return name.replace("norm_layer.", "normaliser.", 1)
    _, _, depth, *middle, last = name.split(".")
    # Parameters of nn.Sequential have an index before "weight" or "bias".
    for cut in range(len(middle), 0, -1):
        theirs = ".".join(middle[:cut])
        if theirs in _LAYER:
            return ".".join(["layers", depth, _LAYER[theirs], *middle[cut:], last])
    raise KeyError(name)
