"""Hyper-parameters as YAML files: one schema, every problem reported at once.

Keys that EasyEdit has too (``alg_name``, ``model_name``, ``archive``, ``cedit``, ...) mean what
they mean there. Keys that depart from the paper say so in their description and are off in
``hparams/DAFNET/*-paper.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from dafnet_plugin.registered import RegisteredConfig
from dafnet_plugin.schema import not_positive


@dataclass
class NetworkSection:
    """``network:``, see :class:`dafnet_plugin.network.config.NetworkConfig`."""

    layers: int = 2
    intra_dim: int = 256
    inter_dim: int = 64
    inter_heads: int = 2
    gate_dim: int = 32
    gate_heads: int = 2
    ffn_dim: int = 256
    normaliser: Literal["exact_batch_norm", "batch_norm", "layer_norm", "standardise", "none"] = (
        "standardise"
    )
    block: Literal["paper", "residual"] = "residual"
    gate: Literal["paper", "consistent"] = "consistent"


@dataclass
class FusionSection:
    """``fusion:``, see :class:`dafnet_plugin.editing.fusion.FusionConfig`."""

    kind: Literal["running_mean", "sum", "least_squares"] = "least_squares"
    edit_lr: float = -0.3
    ridge: float = 0.1
    preserve_shrinkage: float = 0.01
    chunk: int = 512


@dataclass
class ConsolidationSection:
    """``consolidation:``, see :class:`dafnet_plugin.editing.consolidation.ConsolidationConfig`."""

    start: int = 64
    growth: float = 1.1
    steps: int = 10
    texts: int = 2048
    rate: float = 0.7
    momentum: float = 0.5
    made_up: float = 0.7
    exchanged: float = 0.3
    scope: float = 1.0
    locality: float = 1.0
    damping: float = 0.01
    room: float = 4.0
    autocast: bool = True


@dataclass
class _ModelKeys(RegisteredConfig):
    """What editing and meta-training both need to know.

    Attributes:
        model_name: a directory or hub name; EasyEdit chooses classes by what it contains. May be
            a ``(model, tokenizer)`` pair when set from Python.
        edit_modules: names of the linear modules to edit, first layer first.
        edit_bias: edit their biases too (not with ``least_squares``).
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or a CUDA index.
        batch_size: for editing, edits per ``batch_edit`` chunk; for EasyEdit's trainer, edits
            per step.
        signal_batch_size: edits per forward pass when gradient signals are taken.
        max_length: tokens that EasyEdit's evaluation truncates at.
        model_parallel: spread the model over all devices of this machine (``device_map="auto"``).
        fp16: load the model in float16, as in EasyEdit.
        dtype: load the model in this precision; None leaves it to ``fp16``, else float32. The
            update is computed and remembered in float32 whatever the model's precision is.
        quantise: load the model in 8 or 4 bits (bitsandbytes); the edited modules get a side weight
            in float32 for the update. ``dtype`` is then what the rest of the model computes in.
        use_chat_template: edit, train and ask inside the tokenizer's chat template, the prompt
            being the user's turn and the target the start of the answer.
    """

    model_name: Any
    edit_modules: list[str]
    alg_name: str = "DAFNET"
    network: NetworkSection = field(default_factory=NetworkSection)
    fusion: FusionSection = field(default_factory=FusionSection)
    edit_bias: bool = False
    device: str | int = "cpu"
    archive: str | None = None
    batch_size: int = 1
    signal_batch_size: int = 8
    max_length: int = 40
    model_parallel: bool = False
    fp16: bool = False
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    quantise: Literal["8bit", "4bit"] | None = None
    use_chat_template: bool = False

    METHOD: ClassVar[str] = "DAFNET"

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = self.other_method()
        if not self.edit_modules:
            found.append("edit_modules: []; at least one module name is needed")
        if self.edit_bias and self.fusion.kind == "least_squares":
            found.append("edit_bias: true; allowed only with fusion.kind running_mean or sum")
        if self.fp16 and self.dtype not in (None, "float16"):
            found.append(f"dtype: {self.dtype!r}; allowed: 'float16' or null, with fp16: true")
        if self.edit_bias and self.quantise:
            found.append(f"quantise: {self.quantise!r}; allowed: null, with edit_bias: true")
        if not isinstance(self.model_name, (str, tuple)):
            found.append(f"model_name: {self.model_name!r}; allowed: a directory or a hub name")
        for section, names in (
            (
                "network.",
                [
                    "layers",
                    "intra_dim",
                    "inter_dim",
                    "inter_heads",
                    "gate_dim",
                    "gate_heads",
                    "ffn_dim",
                ],
            ),
            ("fusion.", ["ridge", "chunk"]),
            ("", ["batch_size", "signal_batch_size", "max_length"]),
        ):
            owner = getattr(self, section[:-1]) if section else self
            found += not_positive(owner, names, section)
        if self.fusion.preserve_shrinkage <= 0:
            found.append(
                f"fusion.preserve_shrinkage: {self.fusion.preserve_shrinkage}; allowed: above 0"
            )
        return found


@dataclass
class DAFNetHparams(_ModelKeys):
    """Editing with a trained DAFNet: ``hparams/DAFNET/<model>.yaml``.

    ``archive`` is a checkpoint directory written by training, or a published ``.pt`` file; for
    the latter ``network`` and ``fusion`` say what it was trained with.
    """

    consolidation: ConsolidationSection = field(default_factory=ConsolidationSection)

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = super().problems()
        section = self.consolidation
        found += not_positive(
            section, ["steps", "texts", "rate", "damping", "room"], "consolidation."
        )
        for name, allowed, fits in (
            ("start", "0 (never) or more", section.start >= 0),
            ("growth", "above 1", section.growth > 1),
            ("momentum", "0 or more, below 1", 0 <= section.momentum < 1),
            ("made_up", "0 to 1", 0 <= section.made_up <= 1),
            ("exchanged", "0 to 1", 0 <= section.exchanged <= 1),
            ("scope", "0 to 1", 0 <= section.scope <= 1),
            ("locality", "0 or more", section.locality >= 0),
        ):
            if not fits:
                found.append(f"consolidation.{name}: {getattr(section, name)}; allowed: {allowed}")
        return found


DAFNetHyperParams = DAFNetHparams
"""EasyEdit's naming of the same class."""


@dataclass
class DAFNetTrainingHparams(_ModelKeys):
    """Meta-training: ``hparams/TRAINING/DAFNET/<model>.yaml``.

    Attributes:
        alg, model_class, tokenizer_class, tokenizer_name, results_dir, opt, lr, lr_lr, seed,
        cedit, cloc, cbase, train_base, accumulate_bs, grad_clip, max_iters, max_epochs,
        log_interval, val_interval, val_steps, val_batch_size, early_stop_patience,
        early_stop_key, eval_only, final_eval, debug, save, silent: as in EasyEdit's
            trainer. ``lr`` is the network's learning rate, ``lr_lr`` that of ``edit_lrs``.
        cgen: weight of the generality loss.
        ctext: weight of the locality loss on plain text (``text_path``).
        loss_cases: cases of the sequence whose probes enter the loss of one step.
        max_edits: longest sequence of the curriculum, N.
        curriculum: ``ramp`` grows N from 1 to ``max_edits`` over the first
            ``curriculum_share`` of training and draws n log-uniformly; ``plateau`` is the
            paper's: n uniform, N grows when the loss stops improving.
        curriculum_share: share of training after which ``ramp`` has reached ``max_edits``.
        increase_after: iterations without improvement before ``plateau`` grows.
        max_seconds: stop training after this much time, None for no limit. With it, the
            curriculum and learning rate follow the clock and runs are not reproducible.
        warmup_iters: iterations over which the learning rate rises.
        decay_share: share of training at the end over which the learning rate falls to 0.
        val_edits: sequence lengths of validation.
        val_share: share of the training subjects held out when there is no validation set.
        val_cases: cases of the validation set used, at most.
        train_path, val_path: case files (``.jsonl``), folders of DAFSets, or lists of them.
        text_path: plain text (``.jsonl`` of ``{"text": ...}`` or ``.txt``), for the
            preserved-key statistics and ``ctext``; None takes what the training cases say is
            true before any edit.
        text_tokens: tokens of the text (statements, without ``text_path``) used, at most.
        autocast: run the base model in bfloat16 while training.
        threads: CPU threads, None leaves torch's choice.
        checkpoint_interval: iterations between checkpoints for ``--resume``.
        tensorboard: write scalars under ``results_dir``.
    """

    alg: str = "DAFNET"
    model_class: str = "AutoModelForCausalLM"
    tokenizer_class: str = "AutoTokenizer"
    tokenizer_name: str | None = None
    results_dir: str = "./results"
    train_path: list[str] | str | None = None
    val_path: list[str] | str | None = None
    text_path: str | None = None
    text_tokens: int = 100_000
    opt: Literal["Adam", "AdamW"] = "Adam"
    lr: float = 5e-4
    lr_lr: float = 3e-3
    seed: int = 42
    cedit: float = 1.0
    cgen: float = 1.0
    cloc: float = 1.0
    ctext: float = 0.0
    cbase: float = 0.0
    loss_cases: int = 64
    max_edits: int = 500
    curriculum: Literal["ramp", "plateau"] = "ramp"
    curriculum_share: float = 0.5
    increase_after: int = 1000
    max_iters: int | None = 1000
    max_epochs: int | None = None
    max_seconds: float | None = None
    warmup_iters: int = 20
    decay_share: float = 0.3
    val_batch_size: int = 1
    accumulate_bs: int = 1
    grad_clip: float = 100.0
    log_interval: int = 10
    val_interval: int = 200
    val_steps: int | None = None
    val_edits: list[int] = field(default_factory=lambda: [1, 10, 100])
    val_share: float = 0.0
    val_cases: int = 100
    checkpoint_interval: int = 50
    early_stop_patience: int = 1_000_000
    early_stop_key: str = "loss/total_edit_val"
    eval_only: bool = False
    final_eval: bool = False
    train_base: bool = False
    debug: bool = False
    save: bool = True
    silent: bool = False
    autocast: bool = False
    threads: int | None = None
    tensorboard: bool = True

    # What EasyEdit's loader of base models reads besides. DAFNet names modules in `edit_modules`,
    # switches dropout off by itself and leaves the base model's precision alone.
    inner_params: ClassVar[list[str]] = []
    no_grad_layers: ClassVar[int | None] = None
    dropout: ClassVar[float | None] = None
    half: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokenizer_name is None and isinstance(self.model_name, str):
            self.tokenizer_name = self.model_name  # EasyEdit's data sets do not fall back

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = super().problems()
        if self.alg.upper() != self.METHOD:
            found.append(f"alg: {self.alg!r}; allowed: {self.METHOD!r}")
        found += not_positive(
            self,
            [
                "lr",
                "max_edits",
                "loss_cases",
                "log_interval",
                "val_interval",
                "checkpoint_interval",
                "val_cases",
                "accumulate_bs",
                "grad_clip",
                "text_tokens",
            ],
            "",
        )
        limits = ("max_iters", "max_epochs", "max_seconds", "threads")
        found += not_positive(self, [n for n in limits if getattr(self, n) is not None], "")
        for name in ("cedit", "cgen", "cloc", "ctext", "lr_lr"):
            if getattr(self, name) < 0:
                found.append(f"{name}: {getattr(self, name)}; allowed: 0 or more")
        for name in ("curriculum_share", "decay_share", "val_share"):
            if not 0 <= getattr(self, name) <= 1:
                found.append(f"{name}: {getattr(self, name)}; allowed: 0 to 1")
        if self.max_iters is None and self.max_epochs is None and self.max_seconds is None:
            found.append("max_iters, max_epochs and max_seconds are all null; one is needed")
        if self.ctext and not self.text_path:
            found.append(f"ctext: {self.ctext}; needs text_path")
        if not self.val_edits or any(edits < 1 for edits in self.val_edits):
            found.append(f"val_edits: {self.val_edits}; allowed: numbers of at least 1")
        return found
