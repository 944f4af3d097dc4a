"""``dafnet edit``: edit a model and save the result."""

from __future__ import annotations

import argparse
import os

HELP = "Edit facts into a model, one after another, and save it as an ordinary model."
EXAMPLE = """example:
  dafnet edit hparams/DAFNET/tiny-gpt2.yaml --edits cases.jsonl --out edited-gpt2
  dafnet edit hparams/DAFNET/tiny-gpt2.yaml --prompt "Ada was born in" --target "Paris"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("hparams", help="hparams/DAFNET/<model>.yaml")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--edits", metavar="FILE", help="case file (.jsonl); its requests are edited")
    what.add_argument("--prompt", help="one edit: the text before the answer")
    parser.add_argument("--target", help="one edit: the new answer")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N edits of the file")
    parser.add_argument("--out", metavar="DIR", help="save the edited model and tokenizer here")
    parser.add_argument("--archive", metavar="DIR", help="instead of archive")
    parser.add_argument("--model", metavar="DIR", help="instead of model_name")


def run(options: argparse.Namespace) -> int:
    """Edit, print what the model says before and after, and save it."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from dafnet_plugin.base_models import load_base_model
    from dafnet_plugin.cases import EditRequest, read_cases
    from dafnet_plugin.devices import resolve_device
    from dafnet_plugin.errors import ConfigError, DataError
    from dafnet_plugin.hparams import DAFNetHparams
    from dafnet_plugin.tokens import context_length, encode, in_chat
    from dafnet_plugin.training.build import build_editor

    if (options.prompt is None) != (options.target is None):
        raise ConfigError("--prompt and --target go together")
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit: {options.limit}; allowed: at least 1")
    if options.edits:
        requests = [case.request for case in read_cases(options.edits)][: options.limit]
        if not requests:
            raise DataError(f"{options.edits}: no edit case")
    else:
        requests = [EditRequest(options.prompt, options.target)]
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
    editor = build_editor(hparams, model, tokenizer)

    chat = hparams.use_chat_template

    @torch.no_grad()
    def answer(request: EditRequest) -> str:
        prompt = in_chat(tokenizer, [request.prompt])[0] if chat else request.prompt
        inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=not chat)
        # Some tokenizers say more than some models take.
        known = {key: inputs[key].to(model.device) for key in ("input_ids", "attention_mask")}
        length = len(tokenizer(" " + request.target_new)["input_ids"])
        ids = model.generate(
            **known, max_new_tokens=length, do_sample=False, pad_token_id=tokenizer.eos_token_id
        )
        return tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :]).strip()

    # Everything is checked before anything runs, so that a bad edit is named, not stumbled over.
    pairs = [(request.prompt, request.target_new) for request in requests]
    encode(tokenizer, pairs, context_length(model), chat=chat)
    shown = requests[:10]
    before = [answer(request) for request in shown]
    editor.edit(requests)
    table = Table("prompt", "new answer", "before", "after", title=f"{len(requests)} edits")
    for request, old in zip(shown, before, strict=True):
        table.add_row(request.prompt, request.target_new, old, answer(request))
    Console().print(table)
    if options.out:
        model.save_pretrained(options.out)
        tokenizer.save_pretrained(options.out)
        print(f"saved to {options.out}: an ordinary transformers model")
    return 0
