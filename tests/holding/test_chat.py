"""Requests edited inside a chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dafnet_plugin.artifacts.checkpoint import load_checkpoint
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.errors import ModelError
from dafnet_plugin.hparams import DAFNetHparams
from dafnet_plugin.tokens import encode, in_chat
from dafnet_plugin.training.build import build_editor
from dafnet_plugin.training.trainer import DAFNetTrainer
from tests.helpers import MODULES, cases, dafnet_for, model, requests, tokenizer, training_config

LINES = (
    "{% for m in messages %}<{{ m.role }}>\n{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
BRACKETS = "{{ eos_token }}[INST] {{ messages[0]['content'] }} [/INST]"


def chatty(template: str = LINES) -> Any:
    tok = tokenizer()
    tok.chat_template = template
    return tok


def said(tok: Any, encoded: Any) -> tuple[str, str]:
    ids, start = encoded.ids, encoded.target_start
    return tok.decode(ids[:start]), tok.decode(ids[start:])


def test_the_target_is_where_the_answer_starts() -> None:
    tok = chatty()
    (encoded,) = encode(tok, [("Ada lives in", "Rome")], chat=True)
    assert said(tok, encoded) == ("<user>\nAda lives in\n<assistant>\n", "Rome")
    tok = chatty(BRACKETS)
    (encoded,) = encode(tok, [("Ada lives in", " Rome")], chat=True)
    assert said(tok, encoded) == ("<end>[INST] Ada lives in [/INST]", " Rome")


def test_the_template_writes_the_special_tokens_and_nobody_else() -> None:
    from tokenizers import processors

    tok = chatty(BRACKETS)
    end = tok.eos_token_id
    tok._tokenizer.post_processor = processors.TemplateProcessing(
        single="<end> $A", special_tokens=[("<end>", end)]
    )
    (outside,) = encode(tok, [("Ada lives in", "Rome")])
    (inside,) = encode(tok, [("Ada lives in", "Rome")], chat=True)
    assert outside.ids.count(end) == inside.ids.count(end) == 1


def test_without_a_template_or_with_a_bad_one_it_is_said() -> None:
    with pytest.raises(ModelError, match="has no chat template"):
        encode(tokenizer(), [("Ada lives in", "Rome")], chat=True)
    with pytest.raises(ModelError, match="the chat template fails: no system"):
        in_chat(chatty("{{ raise_exception('no system') }}"), ["Ada lives in"])


def test_editing_inside_differs_from_outside_and_is_undone() -> None:
    base, tok = model("gpt2"), chatty()
    dafnet = dafnet_for(base, "gpt2", kind="least_squares")
    plain = DAFNetEditor(model("gpt2"), tok, dafnet, MODULES["gpt2"])
    editor = DAFNetEditor(base, tok, dafnet, MODULES["gpt2"], use_chat_template=True)
    by_hand = encode(tok, [("Ada lives in", "Rome")], chat=True)
    signals = editor.signals(requests(1))
    rows = int(signals[0].tokens_per_edit)
    assert rows > int(plain.signals(requests(1))[0].tokens_per_edit)
    assert rows == len(by_hand[0].ids) - 1
    before = {name: p.clone() for name, p in base.named_parameters()}
    editor.edit(requests(1))()
    assert all(torch.equal(before[name], p) for name, p in base.named_parameters())


def test_training_and_editing_go_inside_when_asked(tmp_path: Path) -> None:
    tok, base = chatty(), model("gpt2")
    config = training_config(tmp_path, base=base, max_iters=2, use_chat_template=True)
    config.model_name = (base, tok)
    trainer = DAFNetTrainer(config, cases(3))
    heads = [said(tok, encoded)[0] for encoded in trainer.banks[0].requests]
    assert heads == in_chat(tok, [case.request.prompt for case in cases(3)])
    probes = [probe for some in trainer.banks[0].locality for probe in some]
    assert all(said(tok, probe)[0].startswith("<user>\n") for probe in [*probes, *trainer.text])
    trainer.run()
    checkpoint = load_checkpoint(trainer.directory)
    assert checkpoint.training["config"]["use_chat_template"] is True
    hparams = DAFNetHparams.from_dict(
        {
            "model_name": "gpt2",
            "edit_modules": MODULES["gpt2"],
            "archive": str(trainer.directory),
            "use_chat_template": True,
        }
    )
    assert build_editor(hparams, base, tok).use_chat_template


def test_the_command_edits_and_asks_inside_the_template(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dafnet_plugin.artifacts.checkpoint import Checkpoint, save_checkpoint
    from dafnet_plugin.cli import main

    base, tok = model("gpt2"), chatty()
    base.save_pretrained(tmp_path / "gpt2")
    tok.save_pretrained(tmp_path / "gpt2")
    dafnet = dafnet_for(base, "gpt2", kind="sum")
    save_checkpoint(Checkpoint(dafnet, tuple(MODULES["gpt2"]), {}), tmp_path / "dafnet")
    asked: list[str] = []
    generate = type(base).generate

    def spy(self: Any, input_ids: Any, **settings: Any) -> Any:
        asked.append(tok.decode(input_ids[0]))
        return generate(self, input_ids=input_ids, **settings)

    monkeypatch.setattr(type(base), "generate", spy)
    (tmp_path / "edit.yaml").write_text(
        f"model_name: {tmp_path / 'gpt2'}\narchive: {tmp_path / 'dafnet'}\n"
        f"edit_modules: {MODULES['gpt2']}\nuse_chat_template: true\n"
    )
    edit = ["edit", str(tmp_path / "edit.yaml"), "--prompt", "Ada lives in", "--target", "Rome"]
    assert main(edit) == 0
    assert asked == in_chat(tok, ["Ada lives in"]) * 2
    (tmp_path / "edit.yaml").write_text(
        (tmp_path / "edit.yaml").read_text().replace("true", "false")
    )
    assert main(edit) == 0
    assert asked[2:] == ["Ada lives in"] * 2
