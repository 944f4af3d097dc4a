"""Tiny models, tokenizers, networks and signals, made in memory."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.fusion import FusionConfig
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.signals import Signal
from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.network import (
    AuxiliaryNetwork,
    NetworkConfig,
    NetworkOutput,
    NetworkState,
)

FAMILIES = ("gpt2", "llama")
CONTEXT = 64
MODULES = {
    "gpt2": [
        "transformer.h.0.mlp.c_proj",
        "transformer.h.1.mlp.c_fc",
        "transformer.h.1.mlp.c_proj",
    ],
    "llama": ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.up_proj"],
}
PLACES = ("Rome", "Paris", "London", "Oslo", "Cairo", "Lima", "Delhi", "Kyoto")
PEOPLE = ("Ada", "Bo", "Cleo", "Dirk", "Eve", "Femi", "Gus", "Hana", "Ivo", "June", "Kofi", "Lea")

SMALL = NetworkConfig(
    layers=2, intra_dim=8, inter_dim=6, inter_heads=2, gate_dim=4, gate_heads=2, ffn_dim=8
)
IDENTITY = NetworkConfig(
    **{**vars(SMALL), "normaliser": "none", "block": "residual", "gate": "consistent"}
)


@functools.cache
def _tokenizer(special: tuple[str, ...]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<end>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(
        [f"{person} lives in {place}" for person in PEOPLE for place in PLACES], trainer
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **dict.fromkeys(special, "<end>"))


def tokenizer(*, eos: bool = True, pad: bool = False) -> Any:
    """A byte-level BPE tokenizer; a fresh copy, so that a test may change it."""
    special = [name for name, wanted in (("eos_token", eos), ("pad_token", pad)) if wanted]
    return copy.deepcopy(_tokenizer(tuple(special)))


@functools.cache
def _model(family: str, dtype: torch.dtype) -> Any:
    import transformers

    torch.manual_seed(0)
    common = {"vocab_size": len(_tokenizer(("eos_token",))), "initializer_range": 0.3}
    if family == "gpt2":
        config = transformers.GPT2Config(
            n_positions=CONTEXT, n_embd=16, n_layer=2, n_head=2, **common
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CONTEXT,
            **common,
        )
        model = transformers.LlamaForCausalLM(config)
    return model.to(dtype).eval()


def model(family: str, dtype: torch.dtype = torch.float32) -> Any:
    """A random causal language model of 2 layers and width 16, always with the same weights."""
    return copy.deepcopy(_model(family, dtype))


def shuffle_parameters(module: nn.Module, seed: int = 0, scale: float = 0.3) -> None:
    """Add noise to every parameter, so that nothing is zero or one by construction."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn(
                parameter.shape, generator=generator, dtype=parameter.dtype
            )


def auxiliary(
    d_in: int, d_out: int, modules: int, config: NetworkConfig, *, shuffled: bool = True
) -> AuxiliaryNetwork:
    """A network in eval mode whose weights are always the same, in float64."""
    torch.manual_seed(0)
    network = AuxiliaryNetwork(d_in, d_out, modules, config).double().eval()
    if shuffled:
        shuffle_parameters(network)
    return network


def run_alone(
    network: AuxiliaryNetwork, signal: Signal, module: int = 0, past: NetworkState | None = None
) -> tuple[NetworkOutput, NetworkState]:
    """What a network says of one module, and its state."""
    rows = torch.cat([signal.x, signal.delta], 1)
    (out,), state = network([rows], [signal.tokens_per_edit], [module], past)
    return out, state


def random_dafnet(
    shapes: Sequence[tuple[int, int]],
    *,
    kind: str = "sum",
    seed: int = 0,
    edit_bias: bool = False,
    edit_lr: float = -0.1,
    **network: Any,
) -> DAFNet:
    """A DAFNet that is far from the identity, in eval mode."""
    torch.manual_seed(seed)
    config = NetworkConfig(**{**vars(SMALL), "gate": "consistent", **network})
    fusion = FusionConfig(kind=kind, edit_lr=edit_lr)  # type: ignore[arg-type]
    dafnet = DAFNet(shapes, config, fusion, edit_bias)
    shuffle_parameters(dafnet.networks, seed)
    return dafnet.eval()


def dafnet_for(base: nn.Module, family: str, **settings: Any) -> DAFNet:
    """A random DAFNet for the edit modules of a tiny model."""
    shapes = [module.shape for module in find_edit_modules(base, MODULES[family])]
    return random_dafnet(shapes, **settings)


def editor(family: str, dtype: torch.dtype = torch.float32, **settings: Any) -> DAFNetEditor:
    """An editor of a tiny model with a random DAFNet."""
    base = model(family, dtype)
    dafnet = dafnet_for(base, family, **settings)
    return DAFNetEditor(base, tokenizer(), dafnet, MODULES[family], batch_size=3)


def random_signal(
    lengths: Sequence[int], d_in: int, d_out: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Signal:
    """Normally distributed rows for edits of these lengths in tokens."""
    generator = torch.Generator().manual_seed(seed)
    x, delta = (
        torch.randn(sum(lengths), width, generator=generator, dtype=torch.float64).to(dtype)
        for width in (d_in, d_out)
    )
    return Signal(x, delta, torch.tensor(list(lengths), dtype=torch.long))


def part(signal: Signal, first: int, last: int) -> Signal:
    """The signal of edits ``first`` to ``last - 1``."""
    return signal.select(torch.arange(first, last))


def requests(count: int) -> list[EditRequest]:
    """Edit requests of different lengths."""
    return [
        EditRequest(
            f"{PEOPLE[i % len(PEOPLE)]} {'still ' * (i % 3)}lives in", PLACES[i % len(PLACES)]
        )
        for i in range(count)
    ]


def cases(count: int, prefix: str = "") -> list[EditCase]:
    """Edit cases with a generality and a locality probe each."""
    return [
        EditCase(
            f"{prefix}{i}",
            EditRequest(f"{prefix}{PEOPLE[i % 12]} lives in", PLACES[i % 8], ground_truth="Rome"),
            (Probe(f"{prefix}{PEOPLE[i % 12]} is found in", PLACES[i % 8]),),
            (Probe(f"{prefix}{PEOPLE[(i + 5) % 12]} was born in", PLACES[(i + 3) % 8]),),
        )
        for i in range(count)
    ]


def training_config(
    directory: Path, family: str = "gpt2", base: Any = None, **changes: Any
) -> DAFNetTrainingHparams:
    """Settings of a run of seconds on a tiny model."""
    data: dict[str, Any] = {
        "model_name": "",
        "edit_modules": MODULES[family],
        "network": {**{k: v for k, v in vars(SMALL).items() if k in _SIZES}},
        "results_dir": str(directory),
        "max_iters": 8,
        "max_edits": 4,
        "val_interval": 4,
        "val_edits": [1, 3],
        "val_cases": 3,
        "checkpoint_interval": 2,
        "log_interval": 1,
        "warmup_iters": 2,
        "tensorboard": False,
        "silent": True,
        "lr": 1e-2,
        **changes,
    }
    config = DAFNetTrainingHparams.from_dict(data)
    config.model_name = (base if base is not None else model(family), tokenizer())
    return config


_SIZES = ("layers", "intra_dim", "inter_dim", "inter_heads", "gate_dim", "gate_heads", "ffn_dim")


def bits(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    """The bytes of each tensor, so that -0.0 and NaN count too."""
    return {
        name: tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for name, tensor in tensors.items()
        if tensor.numel()
    }
