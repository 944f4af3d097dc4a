"""A base model is told from others by what is saved of it, and by what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from dafnet_plugin.artifacts.identity import check_base, identity_of_base, sample_digest
from dafnet_plugin.errors import CheckpointError
from tests import helpers


def identity(model: Any) -> dict[str, Any]:
    return dict(json.loads(json.dumps(identity_of_base(model, {}))))


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [("gpt2", "layer_norm_epsilon", 1e-3), ("llama", "hidden_act", "relu")],
)
def test_other_settings_are_another_base(family: str, name: str, value: object) -> None:
    base, other = helpers.model(family), helpers.model(family)
    setattr(other.config, name, value)
    with pytest.raises(CheckpointError, match=f"other settings .* than this one: {name} is "):
        check_base(identity(other), identity(base), "edits")


def test_names_places_and_how_text_is_generated_are_no_part_of_it(tmp_path: Any) -> None:
    base, other = helpers.model("gpt2"), helpers.model("gpt2")
    expected = identity(base)
    other.config._name_or_path, other.config.use_cache = str(tmp_path), False
    other.config.pad_token_id, other.config.resid_pdrop = 3, 0.9
    check_base(identity(other), expected, "edits")
    base.save_pretrained(tmp_path)
    check_base(identity(type(base).from_pretrained(tmp_path)), expected, "edits")


def test_what_only_one_of_two_versions_has_is_not_compared() -> None:
    base = identity(helpers.model("llama"))
    old = {key: base[key] for key in base if key not in ("config", "buffers")}
    check_base(base, old, "edits")
    check_base(old, base, "edits")
    newer = base | {"config": base["config"] | {"new": 1}, "buffers": {"new": [[1], 0.0, 0.0]}}
    check_base(newer, base, "edits")


def test_buffers_that_are_not_saved_count() -> None:
    base, other = helpers.model("llama"), helpers.model("llama")
    names = [name for name, _ in other.named_buffers() if name not in other.state_dict()]
    assert any("inv_freq" in name for name in names)
    for name in names:
        other.get_buffer(name).mul_(1 + 1e-6)  # as another device would round
    check_base(identity(other), identity(base), "edits")
    for name in names:
        other.get_buffer(name).mul_(2)
    with pytest.raises(CheckpointError, match=r"than this one: the buffer .*inv_freq differs"):
        check_base(identity(other), identity(base), "edits")


def test_offloaded_tensors_are_not_passed_over_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    base = helpers.model("gpt2")
    identity(base)
    assert not caplog.records
    base.transformer.ln_f.to("meta")
    identity(base)
    assert "2 of" in caplog.text and "offloaded, transformer.ln_f" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sample_tells_weights_apart(dtype: torch.dtype) -> None:
    one = torch.randn(700, 300, dtype=dtype)
    assert sample_digest([one]) == sample_digest([one.clone()])
    assert sample_digest([one]) != sample_digest([one * 1.01])
    assert sample_digest([one]) != sample_digest([one.T])
