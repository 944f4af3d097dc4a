"""Going over a growing sequence of edits again."""

from __future__ import annotations

import random
import weakref
from dataclasses import asdict, replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing import consolidation as module
from dafnet_plugin.editing.consolidation import Consolidation, ConsolidationConfig, make_up
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.modules import swapped_weights
from dafnet_plugin.editing.objective import Question, losses_and_gradients
from dafnet_plugin.editing.scope import Paraphrase, key_shifts, moved_keys
from dafnet_plugin.errors import ConfigError, NumericalError
from dafnet_plugin.hparams import ConsolidationSection
from dafnet_plugin.tokens import Encoded, collate, encode
from tests import helpers
from tests.helpers import FAMILIES, PEOPLE, PLACES

CONFIG = ConsolidationConfig(start=4, growth=1.5, steps=3, texts=8, rate=0.3, autocast=False)


def replay() -> tuple:
    texts = [(f"{person} was born in", PLACES[i % 8]) for i, person in enumerate(PEOPLE)]
    return tuple(encode(helpers.tokenizer(), texts))


def editor(
    family: str,
    config: ConsolidationConfig | None = CONFIG,
    dtype: torch.dtype = torch.float32,
) -> DAFNetEditor:
    plain = helpers.editor(family, dtype, kind="least_squares")
    torch.manual_seed(0)
    keys = [torch.randn(30, d_in) for d_in, _ in plain.dafnet.shapes]
    plain.dafnet.preserve([x.T @ x / 30 for x in keys])
    plain.consolidation = Consolidation(config, replay()) if config else None
    return plain


def edit_loss(edited: DAFNetEditor, requests: list[EditRequest]) -> float:
    texts = encode(edited.tokenizer, [(r.prompt, r.target_new) for r in requests])
    asked = [Question("reliability", collate(texts, 0), 1.0, False)]
    weights = [module.weight for module in edited.modules]
    zero = [torch.zeros_like(weight) for weight in weights]
    return losses_and_gradients(edited.model, weights, zero, asked)[0]["total"]


@given(start=st.integers(1, 50), growth=st.floats(1.01, 3), edits=st.integers(0, 400))
def test_when_a_sequence_is_due_depends_on_its_length_only(
    start: int, growth: float, edits: int
) -> None:
    consolidation = Consolidation(ConsolidationConfig(start=start, growth=growth), ())
    until = consolidation.until(edits)
    assert until is not None and until > 0
    # However the edits before came: the next due length is the same all the way to it.
    assert all(consolidation.until(n) == edits + until - n for n in range(edits, edits + until))
    assert until <= max(start, 1 + (growth - 1) * (edits + 1) + growth)


def test_never_due() -> None:
    assert Consolidation(ConsolidationConfig(start=0), ()).until(1000) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_one_call_equals_one_by_one(family: str) -> None:
    requests = helpers.requests(11)
    whole, parts = editor(family), editor(family)
    whole.edit(requests)
    for request in requests:
        parts.edit([request])
    plain = editor(family, None)
    plain.edit(requests)
    for one, other, without in zip(whole.modules, parts.modules, plain.modules, strict=True):
        # Rounding differs between the two and grows with each step, far below what they do.
        assert (one.weight - other.weight).norm() < 0.02 * (one.weight - without.weight).norm()


@pytest.mark.parametrize("family", FAMILIES)
def test_edits_hold_better_after_it(family: str) -> None:
    requests = helpers.requests(9)
    losses = {}
    for name, config in (("with", CONFIG), ("without", None)):
        edited = editor(family, config)
        edited.edit(requests)
        losses[name] = edit_loss(edited, requests)
    assert losses["with"] < losses["without"]


def test_steps_that_do_not_help_are_taken_back() -> None:
    requests = helpers.requests(4)
    uphill, plain = editor("gpt2", replace(CONFIG, rate=-0.1)), editor("gpt2", None)
    uphill.edit(requests)
    plain.edit(requests)
    for mine, theirs in zip(uphill.modules, plain.modules, strict=True):
        assert torch.equal(mine.weight, theirs.weight)


@pytest.mark.parametrize("rate", [0.7, 1e6])
def test_far_too_large_a_rate_does_no_harm(rate: float) -> None:
    requests = helpers.requests(4)
    edited, plain = editor("llama", replace(CONFIG, rate=rate)), editor("llama", None)
    edited.edit(requests)
    plain.edit(requests)
    assert edit_loss(edited, requests) < edit_loss(plain, requests)


@pytest.mark.parametrize("step", range(1, CONFIG.steps + 1))
def test_steps_that_lead_nowhere_are_taken_back(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    calls: list[object] = []

    def failing(*args: object) -> object:
        calls.append(args)
        if len(calls) == 1 + step:  # the last one is the comparison with what was before
            raise NumericalError("losses or their gradients are not finite")
        return losses_and_gradients(*args)  # type: ignore[arg-type]

    requests = helpers.requests(4)
    edited, plain = editor("gpt2"), editor("gpt2", None)
    monkeypatch.setattr(module, "losses_and_gradients", failing)
    edited.edit(requests)
    plain.edit(requests)
    assert len(calls) == 1 + step
    for mine, theirs in zip(edited.modules, plain.modules, strict=True):
        assert torch.equal(mine.weight, theirs.weight)


def test_edits_after_it_have_room() -> None:
    ratios = []
    for room in (1.0, 5.0, 50.0):
        edited = editor("gpt2", replace(CONFIG, room=room))
        edited.edit(helpers.requests(4))
        state = edited.snapshot().state
        assert state is not None
        for update in state.updates:
            assert update.loosened is not None and update.covariance is not None
            ratios.append(float(update.loosened.trace() / update.covariance.trace()))
    tight, loose, looser = (ratios[start : start + 3] for start in (0, 3, 6))
    assert tight == pytest.approx([1.0] * 3, rel=1e-3)
    assert all(1.0 < a < b for a, b in zip(loose, looser, strict=True))


def test_undo_across_it_is_bit_exact_and_editing_goes_on_as_before() -> None:
    edited, straight = editor("gpt2"), editor("gpt2")
    requests = helpers.requests(8)
    for some in (edited, straight):
        some.edit(requests[:3])
    weights = edited.weights_of(edited.snapshot())
    edited.edit(requests[3:6])()
    assert helpers.bits(edited.weights_of(edited.snapshot())) == helpers.bits(weights)
    assert edited.requests == tuple(requests[:3])
    for some in (edited, straight):
        some.edit(requests[3:])
    assert helpers.bits(edited.weights_of(edited.snapshot())) == helpers.bits(
        straight.weights_of(straight.snapshot())
    )


def test_a_prompt_edited_again_is_gone_over_with_its_last_target_only() -> None:
    old = [EditRequest("Ada lives in", "Rome"), *helpers.requests(4)[1:3]]
    again = EditRequest("Ada lives in", "Oslo")
    edited = editor("gpt2", replace(CONFIG, steps=30))
    edited.edit([*old, again])  # due at 4
    assert edit_loss(edited, [again]) < edit_loss(edited, [old[0]])


def test_forks_consolidate_too() -> None:
    edited = editor("gpt2")
    twin = edited.fork(helpers.model("gpt2"))
    assert twin.consolidation is edited.consolidation


def test_the_sections_defaults_are_the_configs() -> None:
    assert asdict(ConsolidationSection()) == asdict(ConsolidationConfig())


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_models_of_half_precision(family: str, dtype: torch.dtype, autocast: bool) -> None:
    requests = helpers.requests(4)
    edited = editor(family, replace(CONFIG, autocast=autocast), dtype)
    plain = editor(family, None, dtype)
    before = helpers.bits(edited.model.state_dict())
    undo = edited.edit(requests)
    plain.edit(requests)
    assert edit_loss(edited, requests) < edit_loss(plain, requests)
    undo()
    assert helpers.bits(edited.model.state_dict()) == before


def test_dropout_is_off_and_modes_and_flags_stay_as_they_were() -> None:
    requests = helpers.requests(4)
    weights = []
    for training in (True, False):
        edited = editor("gpt2")
        for part in edited.model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.5
        edited.model.train(training)
        frozen = edited.modules[0].weight.requires_grad_(False)
        edited.edit(requests)
        assert all(part.training is training for part in edited.model.modules())
        flags = [p.requires_grad for p in edited.model.parameters()]
        assert flags.count(False) == 1 and not frozen.requires_grad
        assert all(p.grad is None for p in edited.model.parameters())
        weights.append(helpers.bits(edited.weights_of(edited.snapshot())))
    assert weights[0] == weights[1]


@pytest.mark.parametrize("fails_at", [1, 5])
def test_a_failure_in_the_middle_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    requests, calls = helpers.requests(7), []
    edited, straight = editor("gpt2"), editor("gpt2")
    for some in (edited, straight):
        some.edit(requests[:3])
    before, mark = helpers.bits(edited.model.state_dict()), edited.snapshot()

    def failing(*args: object) -> object:
        calls.append(args)
        if len(calls) == fails_at:  # before the first step of each time, at 4 and at 6 edits
            raise NumericalError("losses or their gradients are not finite")
        return losses_and_gradients(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "losses_and_gradients", failing)
        message = r"consolidation of [46] edits: .*not finite"
        with pytest.raises(NumericalError, match=message):
            edited.edit(requests[3:])
    assert len(calls) == fails_at and edited.snapshot() is mark
    assert helpers.bits(edited.model.state_dict()) == before
    assert all(p.requires_grad for p in edited.model.parameters())
    for some in (edited, straight):
        some.edit(requests[3:])
    assert helpers.bits(edited.model.state_dict()) == helpers.bits(straight.model.state_dict())


def test_keys_whose_moment_has_no_inverse_are_an_error() -> None:
    with pytest.raises(NumericalError, match=r"no inverse \(consolidation.damping: 0.01\)"):
        module._damped_factor(torch.zeros(3, 3), 0.01)


def test_consolidation_is_of_least_squares_only() -> None:
    base = helpers.model("gpt2")
    dafnet = helpers.dafnet_for(base, "gpt2", kind="sum")
    with pytest.raises(ConfigError, match=r"fusion.kind: 'sum'; .*'least_squares'"):
        DAFNetEditor(
            base,
            helpers.tokenizer(),
            dafnet,
            helpers.MODULES["gpt2"],
            consolidation=Consolidation(CONFIG, replay()),
        )


def test_an_editor_that_does_not_keep_its_model_alive_consolidates_alike() -> None:
    edited, weak = editor("gpt2"), editor("gpt2")
    model = weak.model
    weak.model = weakref.proxy(model)
    for some in (edited, weak):
        some.edit(helpers.requests(4))
    assert helpers.bits(model.state_dict()) == helpers.bits(edited.model.state_dict())


def test_without_text_to_be_preserved_edits_alone_are_gone_over() -> None:
    requests = helpers.requests(4)
    edited, plain = editor("gpt2"), editor("gpt2", None)
    edited.consolidation = Consolidation(CONFIG, ())
    for some in (edited, plain):
        some.edit(requests)
    assert edit_loss(edited, requests) < edit_loss(plain, requests)


def test_text_of_an_edited_prompt_is_not_preserved() -> None:
    edits = list(replay()[:3])
    kept = Consolidation(replace(CONFIG, made_up=0.0, texts=100), replay())
    drawn = module._replayed(kept, edits, random.Random(0))
    assert sorted(text.ids for text in drawn) == sorted(text.ids for text in replay()[3:])
    made_up = Consolidation(replace(CONFIG, made_up=1.0, exchanged=1.0, texts=100), replay())
    prompts = {text.ids[: text.target_start] for text in edits}
    for seed in range(20):
        drawn = module._replayed(made_up, edits, random.Random(seed))
        assert prompts.isdisjoint(text.ids[: text.target_start] for text in drawn)


TEXTS = st.lists(st.integers(0, 99), min_size=2, max_size=9).flatmap(
    lambda ids: st.builds(Encoded, st.just(tuple(ids)), st.integers(1, len(ids) - 1))
)


@given(text=TEXTS, others=st.lists(TEXTS, min_size=1), share=st.floats(0, 1), seed=st.integers())
def test_made_up_text_keeps_length_and_target(
    text: Encoded, others: list[Encoded], share: float, seed: int
) -> None:
    made = make_up(text, others, share, random.Random(seed))
    start = module._prompt_length(text)
    assert (made.target_start, len(made.ids)) == (text.target_start, len(text.ids))
    assert made.ids[start:] == text.ids[start:]
    # Tokens come from prompts, never from targets.
    prompts = {token for other in others for token in other.ids[: module._prompt_length(other)]}
    assert all(new == old or new in prompts for new, old in zip(made.ids, text.ids, strict=True))
    assert make_up(text, others, 0.0, random.Random(seed)) == text


def test_plain_text_is_made_up_throughout() -> None:
    text, other = Encoded((1, 2, 3, 4), 1), Encoded((5, 6, 7, 8), 1)
    made = make_up(text, [other], 1.0, random.Random(0))
    assert made == Encoded((5, 6, 7, 4), 1)


@given(texts=st.lists(TEXTS, max_size=30), most=st.integers(1, 5), tokens=st.integers(1, 40))
def test_batches_hold_every_text_once_and_fit(texts: list[Encoded], most: int, tokens: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH_TOKENS", tokens)
        parts = module._parts(texts, most)
    assert sorted(t.ids for part in parts for t in part) == sorted(t.ids for t in texts)
    for part in parts:
        assert 1 <= len(part) <= most
        assert len(part) == 1 or len(part) * max(len(text.ids) for text in part) <= tokens


def test_batches_change_rounding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts, plain = editor("gpt2"), editor("gpt2"), editor("gpt2", None)
    requests = helpers.requests(4)
    whole.edit(requests)
    monkeypatch.setattr(module, "BATCH_TOKENS", 30)
    parts.edit(requests)
    plain.edit(requests)
    for one, other, without in zip(whole.modules, parts.modules, plain.modules, strict=True):
        assert (one.weight - other.weight).norm() < 0.02 * (one.weight - without.weight).norm()


def paraphrases() -> tuple[Paraphrase, ...]:
    texts = [
        (text.format(person), "Rome") for person in PEOPLE for text in ("{} is", "I saw {} in")
    ]
    flat = encode(helpers.tokenizer(), texts)
    return tuple(Paraphrase(*pair) for pair in zip(flat[::2], flat[1::2], strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_edits_hold_where_other_words_move_their_keys(family: str) -> None:
    requests, pairs = helpers.requests(6), paraphrases()
    losses = {}
    for scope in (0.0, 1.0):
        edited = editor(family, replace(CONFIG, steps=40, locality=0.0, scope=scope))
        assert edited.consolidation is not None
        edited.consolidation = replace(edited.consolidation, paraphrases=pairs)
        edited.edit(requests)
        weights = [m.weight for m in edited.modules]
        texts = encode(edited.tokenizer, [(r.prompt, r.target_new) for r in requests])
        with swapped_weights(weights, edited.weights.originals):
            shifts = key_shifts(edited.model, edited.modules, pairs, pad_id=0)
        batch = collate(texts * len(pairs), 0)
        moves = [shift.repeat_interleave(len(texts), 0) for shift in shifts]
        within = partial(moved_keys, edited.modules, batch, moves)
        asked = [Question("reliability", batch, 1.0, False, within)]
        zero = [torch.zeros_like(weight) for weight in weights]
        losses[scope] = losses_and_gradients(edited.model, weights, zero, asked)[0]["total"]
    assert losses[1.0] < losses[0.0]


def test_a_share_of_the_keys_is_moved_either_way() -> None:
    shifts = [torch.arange(1.0, 4)[:, None], 10 * torch.arange(1.0, 4)[:, None]]
    batch = collate(replay() * 20, 0)
    drawn, tenfold = module._drawn(shifts, batch, 0.5, random.Random(0))
    assert torch.equal(10 * drawn, tenfold), "one pair's moves for all modules"
    assert set(drawn.flatten().tolist()) == {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0}
    assert 0.3 < float((drawn == 0).float().mean()) < 0.7
    assert not module._drawn(shifts, batch, 0.0, random.Random(0))[0].any()
