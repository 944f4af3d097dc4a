"""Trains a tiny base model on statements until it knows them.

The models are ordinary ``transformers`` directories (GPT-2 or Llama, 2-3 M parameters), made
on the user's machine in minutes from whatever facts an experiment is about: the tiny world,
ParaRel or CounterFact. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dafnet_plugin.data.statements import Statement, check_statements
from dafnet_plugin.errors import ConfigError, DataError, did_you_mean
from dafnet_plugin.files import read_json, write_json

logger = logging.getLogger(__name__)

FAMILIES = ("gpt2", "llama")
# How transformers calls the sizes of BaseModelConfig.
SIZES = {
    "gpt2": {"n_layer": "layers", "n_embd": "width", "n_head": "heads", "n_inner": "inner"},
    "llama": {
        "num_hidden_layers": "layers",
        "hidden_size": "width",
        "num_attention_heads": "heads",
        "intermediate_size": "inner",
    },
}
PROVENANCE = "provenance.json"
MIN_VOCABULARY = 257  # the bytes and the end of text
FORMAT_VERSION = 1  # raised whenever the same inputs would give another model


@dataclass(frozen=True, slots=True)
class BaseModelConfig:
    """Size of the model and how it is trained.

    Attributes:
        layers, width, heads: of the transformer.
        inner: width of the MLP; None for ``4 * width`` in GPT-2 and ``8 / 3 * width`` in Llama,
            whose MLP has three matrices instead of two.
        vocabulary: tokens at most; fewer when the text has fewer.
        context: positions, in tokens.
        embedding_std: standard deviation of the token embeddings at first. Three times the
            usual 0.02, with which such a narrow model needs about three times as long.
        batch_size: statements a step.
        learning_rate: AdamW's, reached after ``warmup`` steps, held, then decayed.
        decay_margin: the rate is held until the known facts are this close to those asked for;
            the decay adds the rest.
        decay_share: length of the final decay as a share of the steps before it.
        min_decay: steps of decay at least.
        check_every: steps between counts of the known facts.
        max_steps: the decay starts then, whether or not the facts are known.
        prompt_share: share of the prompt tokens that a step learns from, drawn anew each time.
        prompt_weight: weight of their loss; answers count 1.
        autocast: compute in bfloat16.
    """

    layers: int = 4
    width: int = 192
    heads: int = 4
    inner: int | None = None
    vocabulary: int = 4000
    context: int = 128
    embedding_std: float = 0.06
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup: int = 20
    decay_margin: float = 0.08
    decay_share: float = 0.35
    min_decay: int = 20
    weight_decay: float = 0.01
    check_every: int = 60
    max_steps: int = 4000
    prompt_share: float = 0.15
    prompt_weight: float = 0.3
    autocast: bool = True

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)!r}, a whole number above 0 is needed"
            for name in ("layers", "width", "heads", "inner", "context", "batch_size", "warmup")
            if not (isinstance(getattr(self, name), int) and getattr(self, name) > 0)
            and not (name == "inner" and self.inner is None)
        ]
        if self.vocabulary < MIN_VOCABULARY:
            problems.append(
                f"vocabulary is {self.vocabulary!r}, at least {MIN_VOCABULARY} is needed"
            )
        if not problems and self.width % self.heads:
            problems.append(f"width {self.width} is not a multiple of heads {self.heads}")
        if not 0 <= self.prompt_weight < 1:
            problems.append(
                f"prompt_weight is {self.prompt_weight!r}, 0 <= prompt_weight < 1 is needed"
            )
        if problems:
            raise ConfigError("base model: " + "; ".join(problems))


@dataclass(frozen=True, slots=True)
class BaseModelReport:
    """What was trained, and how well it knows the probes.

    Attributes:
        directory: of the saved model.
        accuracy: share of probes all of whose answer tokens are the arg-max, 0 to 1.
        reached: whether that is the accuracy asked for.
        probes, statements, steps, parameters: counts.
        seconds: of training, by the wall clock; when cached, of the original training.
        cached: the directory was there already and nothing was trained.
    """

    family: str
    directory: str
    accuracy: float
    reached: bool
    probes: int
    statements: int
    steps: int
    parameters: int
    seconds: float
    threads: int
    device: str
    cached: bool


def train_base_model(
    statements: Iterable[tuple[str, str]],
    probes: Iterable[tuple[str, str]],
    family: str,
    directory: str | Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    target_accuracy: float = 0.98,
    max_seconds: float = 900.0,
    config: BaseModelConfig | None = None,
    sizes: Mapping[str, int] | None = None,
    progress: bool = True,
    others: Iterable[Path] = (),
) -> BaseModelReport:
    """Train a base model, or reuse the one in ``directory`` that has the same inputs.

    Args:
        statements: (prompt, answer) pairs to read; a pair that occurs n times is read n times
            as often.
        probes: (prompt, answer) pairs that the model shall know in the end.
        family: ``"gpt2"`` or ``"llama"``. EasyEdit picks its classes by this word in the
            path, so it must occur in the name of ``directory``.
        directory: where the model is saved.
        seed: of the weights and the order of the statements.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        threads: of PyTorch while training; None leaves them as they are.
        target_accuracy: share of the probes to be known in the end.
        max_seconds: training time after which the rate decays and training ends anyway.
        config: sizes and training; :class:`BaseModelConfig` by default.
        sizes: changes of ``config`` by the names that ``transformers`` has for them in this
            family (``n_inner``, ``intermediate_size``, ...: :data:`SIZES`).
        progress: show a bar with loss, known facts and time left.
        others: directories; a model there that has the same inputs is copied.

    Returns:
        A report; ``reached`` is False when time or steps ran out first (a warning is logged
        as well, and the model saved).

    Raises:
        ConfigError: an argument is not allowed.
        DataError: a statement cannot be used (empty, too long, tokens of prompt unstable).
    """
    directory = Path(directory)
    _check_arguments(family, directory, target_accuracy)
    config = resized(config or BaseModelConfig(), family, sizes or {})
    texts = check_statements(statements, "statement")
    questions = check_statements(probes, "probe")
    recipe = {
        "format": FORMAT_VERSION,
        "family": family,
        "seed": seed,
        "target_accuracy": target_accuracy,
        "config": {key: value for key, value in asdict(config).items() if value is not None},
        "statements": _digest(texts),
        "probes": _digest(questions),
    }
    cached = _cached_report(directory, recipe) or _copied(others, directory, recipe)
    if cached is not None:
        logger.info("base model %s is up to date", directory)
        return cached
    from dafnet_plugin.data.base_model_training import train

    report = train(
        texts,
        questions,
        family,
        directory,
        config,
        seed=seed,
        device=device,
        threads=threads,
        target_accuracy=target_accuracy,
        max_seconds=max_seconds,
        progress=progress,
    )
    if not report.reached:
        logger.warning(
            "base model %s knows %.1f %% of %d facts, %.1f %% were asked for: training stopped "
            "after %.0f s and %d steps",
            directory,
            100 * report.accuracy,
            report.probes,
            100 * target_accuracy,
            report.seconds,
            report.steps,
        )
    # Last, so that a directory with provenance is a complete one.
    write_json(directory / PROVENANCE, {"recipe": recipe, "report": asdict(report)} | _versions())
    return report


def resized(config: BaseModelConfig, family: str, sizes: Mapping[str, int]) -> BaseModelConfig:
    """Return the config with other sizes, by their names in ``transformers``.

    Raises:
        ConfigError: a name is unknown for the family, or a value is not allowed.
    """
    for name in sizes:
        if name not in SIZES[family]:
            raise ConfigError(
                f"sizes: {name!r} is unknown for {family}{did_you_mean(name, SIZES[family])}; "
                f"allowed: {', '.join(SIZES[family])}"
            )
    changes: dict[str, Any] = {SIZES[family][name]: value for name, value in sizes.items()}
    return replace(config, **changes)


def _check_arguments(family: str, directory: Path, target_accuracy: float) -> None:
    if family not in FAMILIES:
        raise ConfigError(
            f"family is {family!r}; allowed: {', '.join(FAMILIES)}{did_you_mean(family, FAMILIES)}"
        )
    if family not in directory.name:
        raise ConfigError(f"directory is {str(directory)!r}; EasyEdit needs {family!r} in its name")
    if not 0 < target_accuracy <= 1:
        raise ConfigError(f"target_accuracy is {target_accuracy!r}; a share in (0, 1] is needed")


def _digest(statements: Sequence[Statement]) -> str:
    text = json.dumps(statements, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _cached_report(directory: Path, recipe: dict[str, Any]) -> BaseModelReport | None:
    """The report of the model in ``directory`` if it was made by the same recipe, and well."""
    if not (directory / PROVENANCE).is_file():
        return None
    try:
        known = read_json(directory / PROVENANCE)
        report = BaseModelReport(**known["report"] | {"cached": True, "directory": str(directory)})
        same = known["recipe"] == recipe and (directory / "model.safetensors").is_file()
    except (DataError, KeyError, TypeError) as error:
        logger.warning("%s is ignored: %s", directory / PROVENANCE, error)
        return None
    return report if same and report.reached else None


def _copied(
    others: Iterable[Path], directory: Path, recipe: dict[str, Any]
) -> BaseModelReport | None:
    """Copy the first model that was made by the same recipe; the report of the copy."""
    for other in others:
        if _cached_report(other, recipe) is not None:
            # The provenance last, so that a directory that has it is a complete one.
            (directory / PROVENANCE).unlink(missing_ok=True)
            unfinished = shutil.ignore_patterns(PROVENANCE)
            shutil.copytree(other, directory, ignore=unfinished, dirs_exist_ok=True)
            write_json(directory / PROVENANCE, read_json(other / PROVENANCE))
            return _cached_report(directory, recipe)
    return None


def _versions() -> dict[str, Any]:
    import tokenizers
    import torch
    import transformers

    modules = (torch, transformers, tokenizers)
    return {"versions": {module.__name__: str(module.__version__) for module in modules}}
