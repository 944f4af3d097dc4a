"""``dafnet edit``: edit a model and save the result."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dafnet_plugin.artifacts.edits import DAFNetEdits
    from dafnet_plugin.cases import EditRequest
    from dafnet_plugin.editing.editor import DAFNetEditor

HELP = "Edit facts into a model, one after another, and save it as an ordinary model."
EXAMPLE = """example:
  dafnet edit hparams/DAFNET/tiny-gpt2.yaml --edits cases.jsonl --out edited-gpt2
  dafnet edit hparams/DAFNET/tiny-gpt2.yaml --prompt "Ada was born in" --target "Paris"
  dafnet edit hparams/DAFNET/tiny-gpt2.yaml --edits cases.jsonl --journal my-journal
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("hparams", help="hparams/DAFNET/<model>.yaml")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--edits", metavar="FILE", help="case file (.jsonl); its requests are edited")
    what.add_argument("--prompt", help="one edit: the text before the answer")
    parser.add_argument("--target", help="one edit: the new answer")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N edits of the file")
    parser.add_argument("--out", metavar="DIR", help="save the edited model and tokenizer here")
    parser.add_argument(
        "--save", metavar="DIR", help="save the edits alone here: list, load, export them"
    )
    parser.add_argument(
        "--journal",
        metavar="DIR",
        help="edit one by one, each on disk before the next; edits that are there already are the "
        "model's, and are not made again",
    )
    parser.add_argument("--archive", metavar="DIR", help="instead of archive")
    parser.add_argument("--model", metavar="DIR", help="instead of model_name")


def run(options: argparse.Namespace) -> int:
    """Edit, print what the model says before and after, and save it."""
    from contextlib import closing

    from dafnet_plugin.artifacts.edits import DAFNetEdits
    from dafnet_plugin.base_models import load_base_model
    from dafnet_plugin.devices import resolve_device
    from dafnet_plugin.editing.quantised import has_side_weights
    from dafnet_plugin.errors import ConfigError
    from dafnet_plugin.hparams import DAFNetHparams
    from dafnet_plugin.tokens import context_length, encode
    from dafnet_plugin.training.build import build_editor

    asked, names = _requests(options)
    hparams = DAFNetHparams.read(
        options.hparams, {"archive": options.archive, "model_name": options.model}
    )
    if options.out and os.path.realpath(options.out) == os.path.realpath(hparams.model_name):
        raise ConfigError(f"--out: {options.out} is the base model itself; name another folder")
    model, tokenizer = load_base_model(hparams, resolve_device(hparams.device))
    model.eval()
    if options.out and hasattr(model, "peft_config"):
        raise ConfigError(
            f"--out: {hparams.model_name} is a model with a PEFT adapter, of which only the "
            "adapter would be saved, without the edits; merge it into the base model first "
            "(merge_and_unload), or edit from Python"
        )
    if options.out and has_side_weights(model):
        raise ConfigError(
            f"--out: a model in {hparams.quantise} has its edits in side weights, which ordinary "
            "models do not have; use --save, and `dafnet export --peft` for an adapter"
        )
    editor = build_editor(hparams, model, tokenizer)
    # Everything is checked before anything runs, so that a bad edit is named, not stumbled over.
    pairs = [(request.prompt, request.target_new) for request in asked]
    encode(tokenizer, pairs, context_length(model), chat=hparams.use_chat_template)
    with closing(DAFNetEdits(editor, options.journal, snapshots=0)) as edits:
        _edit_and_show(edits, asked, names)
        if options.out:
            model.save_pretrained(options.out)
            tokenizer.save_pretrained(options.out)
            print(f"saved to {options.out}: an ordinary transformers model")
        if options.save:
            edits.save(options.save)
            print(f"saved to {options.save}: {len(edits.list())} edits, without the model")
    return 0


def _requests(options: argparse.Namespace) -> tuple[list[EditRequest], list[str] | None]:
    """What is to be edited, and the names of the edits where they matter."""
    from dafnet_plugin.cases import EditRequest, read_cases
    from dafnet_plugin.errors import ConfigError, DataError

    if (options.prompt is None) != (options.target is None):
        raise ConfigError("--prompt and --target go together")
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit: {options.limit}; allowed: at least 1")
    if options.prompt:
        return [EditRequest(options.prompt, options.target)], None
    if options.edits:
        cases = read_cases(options.edits)[: options.limit]
        if not cases:
            raise DataError(f"{options.edits}: no edit case")
        keeps = options.save or options.journal
        return [case.request for case in cases], [c.case_id for c in cases] if keeps else None
    if options.journal:
        return [], None
    raise ConfigError("nothing to be edited; allowed: --edits, --prompt with --target, --journal")


def _edit_and_show(
    edits: DAFNetEdits, requests: Sequence[EditRequest], names: Sequence[str] | None
) -> None:
    """Edit, and show what the model says to the first prompts, before and after."""
    from rich.console import Console
    from rich.table import Table

    shown = requests[:10]
    before = [_answer(edits.editor, request) for request in shown]
    if edits.journalled:
        _edit_one_by_one(edits, requests, names)
    else:
        edits.edit(requests, names)
    table = Table("prompt", "new answer", "before", "after", title=f"{len(edits.list())} edits")
    for request, old in zip(shown, before, strict=True):
        table.add_row(request.prompt, request.target_new, old, _answer(edits.editor, request))
    Console().print(table)


def _answer(editor: DAFNetEditor, request: EditRequest) -> str:
    import torch

    from dafnet_plugin.tokens import in_chat

    model, tokenizer, chat = editor.model, editor.tokenizer, editor.use_chat_template
    prompt = in_chat(tokenizer, [request.prompt])[0] if chat else request.prompt
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=not chat)
    # Some tokenizers say more than some models take.
    known = {key: inputs[key].to(model.device) for key in ("input_ids", "attention_mask")}
    length = len(tokenizer(" " + request.target_new)["input_ids"])
    with torch.no_grad():
        ids = model.generate(  # type: ignore[operator]  # a causal language model has it
            **known, max_new_tokens=length, do_sample=False, pad_token_id=tokenizer.eos_token_id
        )
    return str(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :]).strip())


def _edit_one_by_one(
    edits: DAFNetEdits, requests: Sequence[EditRequest], names: Sequence[str] | None
) -> None:
    """Make the edits that the journal does not have; repeating a command goes on with it."""
    there = {edit.case_id: edit.request for edit in edits.list()}
    for number, request in enumerate(requests):
        if names is None:
            edits.edit([request])
        elif there.get(names[number]) != request:
            edits.edit([request], [names[number]])
