"""Hyper-parameters for a model that nobody has told us anything about."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from dafnet_plugin.architectures.check import Findings, check
from dafnet_plugin.architectures.plan import readable, readable_count
from dafnet_plugin.architectures.skeleton import Skeleton
from dafnet_plugin.architectures.structure import MLP, count_layers, find_last_mlps
from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams
from dafnet_plugin.training.settings import model_label

EDITED_LAYERS = 3
"""The paper's number."""
ALL_LAYERS = 4
"""Models of so few layers are edited in all of them, which did best where it was measured."""


@dataclass(frozen=True)
class Proposal:
    """Two YAML files, one for editing and one for meta-training."""

    editing: str
    training: str


def propose(skeleton: Skeleton, model_name: str, name: str) -> Proposal:
    """Write hyper-parameters for a model, with the reasons in comments.

    Args:
        model_name: what the files shall say.
        name: of the model, for comments; the archive is called as training calls it.

    Raises:
        ModelError: no MLP can be told apart in the model.
        ConfigError: what was found cannot be edited (tied weights).
    """
    layers = count_layers(skeleton.model)
    chosen = find_last_mlps(skeleton.model, layers if layers <= ALL_LAYERS else EDITED_LAYERS)
    modules = [mlp.writer for mlp in chosen]
    common: dict[str, Any] = {"model_name": model_name, "edit_modules": modules}
    findings = check(DAFNetHparams.from_dict(common), skeleton, name)
    reasons = _reasons(skeleton, layers, chosen, findings)
    training = _training(model_name, type(skeleton.model).__name__, name, reasons, modules)
    trained = DAFNetTrainingHparams.from_dict(yaml.safe_load(training), name)
    archive = f"{trained.results_dir}/models/{trained.METHOD}/{model_label(trained)}"
    editing = _editing(model_name, archive, name, reasons, modules)
    # What is written has to pass what `dafnet validate` asks.
    for hparams in (trained, DAFNetHparams.from_dict(yaml.safe_load(editing), name)):
        check(hparams, skeleton, name)
    return Proposal(editing, training)


def _reasons(skeleton: Skeleton, count: int, chosen: Sequence[MLP], findings: Findings) -> str:
    last, plan = chosen[-1], findings.plan
    assert plan is not None  # of DAFNet there is one
    readers = ", ".join(reader.rpartition(".")[2] for reader in last.readers)
    d_in, d_out = last.shapes[last.writer]
    layers = (
        f"all {count} layers, since they are few"
        if len(chosen) == count
        else f"the last {len(chosen)} of {count} layers, as many as in the paper"
    )
    if count - chosen[0].layer > len(chosen):
        layers += " (those without such an MLP, mixtures of experts for example, passed over)"
    fused = f" ({readers} holds {last.parts} in one)" if last.parts > 1 else ""
    paragraphs = [
        f"Found by structure in {skeleton.origin} ({type(skeleton.model).__name__}): the MLP of a "
        f"layer is the module that reads and writes a stream {d_out} wide. Its last matrix takes "
        f"in what the others ({readers}) put out{fused}.",
        f"Edited is that last matrix ({d_in} -> {d_out}) in {layers}. Its inputs, the keys, are "
        "the widest there are, which keeps facts apart. The paper edits the other matrices as "
        f"well: {', '.join(last.readers)}, for example.",
        f"The network has {readable_count(plan.network_parameters)} parameters. Editing takes "
        f"{readable(plan.editing(0))} beside the model's {readable(plan.model)} in float32; "
        "`dafnet plan` says more. If that is too much: fewer layers (the key statistics take "
        "d_in * d_in numbers a module), or dtype: bfloat16.",
        *(note[0].upper() + note[1:] + "." for note in findings.notes),
    ]
    return "\n".join(_comment(paragraph) for paragraph in paragraphs)


def _comment(text: str) -> str:
    return textwrap.fill(text, 98, initial_indent="# ", subsequent_indent="# ")


def _scalar(text: str) -> str:
    """A string as YAML, in quotes where it needs them."""
    return yaml.safe_dump(text, width=10**6, allow_unicode=True).removesuffix("...\n").strip()


def _list(modules: Sequence[str]) -> str:
    return "\n".join(["edit_modules:", *(f"- {module}" for module in modules)])


def _editing(model_name: str, archive: str, name: str, reasons: str, modules: Sequence[str]) -> str:
    return f"""\
{_comment(f"Editing {name} with a DAFNet trained by `dafnet train` on the file of the same name.")}
alg_name: DAFNET
model_name: {_scalar(model_name)}
archive: {_scalar(archive)}  # where training leaves it
device: 0                     # a number means that GPU where there is one, else the CPU
dtype: null                   # float32; bfloat16 halves the model's memory and rounds updates

{reasons}
{_list(modules)}
"""


def _training(
    model_name: str, model_class: str, name: str, reasons: str, modules: Sequence[str]
) -> str:
    return f"""\
{_comment(f"Meta-training for {name}.")}
alg: DAFNET
alg_name: DAFNET
model_name: {_scalar(model_name)}
model_class: {model_class}
train_path: null              # your case files, or `dafnet train --train FILE`
val_share: 0.1                # of the training subjects; the best iteration on them is kept
results_dir: ./results
device: 0                     # a number means that GPU where there is one, else the CPU
dtype: null                   # float32; bfloat16 halves the model's memory
autocast: true                # computes in bfloat16 all the same

{reasons}
{_list(modules)}

# Network and fusion are this package's defaults. With them and the numbers below, models of a few
# million parameters did well; see the README for what differs from the paper.
cloc: 2.0                     # locality counts twice, as in the paper
loss_cases: 48                # of the sequence, those that the loss of one step asks about
max_edits: 1000               # longest sequence that is trained on
curriculum_share: 0.4         # of training, after which sequences are as long as that
max_iters: 1000
signal_batch_size: 8          # edits per forward pass; more is faster and takes more memory
"""
