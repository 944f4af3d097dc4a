"""What ours does less of than the plain version: counted, so that it holds on a busy machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from torch import nn

from benchmarks.speed import editing_memory, vocabulary
from benchmarks.speed.counting import (
    Allocations,
    backward_passes,
    calls_of,
    gradients_reaching,
    operations,
)
from benchmarks.speed.edits import difference
from benchmarks.speed.memory import counted
from benchmarks.speed.setting import Setting
from benchmarks.speed.signal import least, weight_gradients
from benchmarks.speed.sizes import SMOKE
from benchmarks.speed.timing import Work
from benchmarks.speed.training_step import our_step, plain_step
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.signals import capture_batch
from dafnet_plugin.training.step import meta_step


def texts(lengths: Sequence[int]) -> list[EditRequest]:
    """Facts of so many words."""
    return [
        EditRequest(" ".join(f"w{n + place}" for place in range(length - 1)), f"w{length}")
        for n, length in enumerate(lengths, 1)
    ]


# -- the network ------------------------------------------------------------------------------


def projected(module: nn.Module, work: Work) -> int:
    """Rows that go through the attentions among edits."""
    with calls_of(module) as seen:
        work()
    return sum(n for name, n in seen.items() if ".inter." in name or ".scale_attention." in name)


def test_an_edit_projects_itself_and_in_the_plain_version_all_before_it(setting: Setting) -> None:
    dafnet, facts = setting.dafnet(), setting.facts
    editor, reference = setting.editor(dafnet), setting.reference(dafnet)
    ours, plain = [], []
    for fact in facts[:5]:
        ours.append(projected(dafnet, lambda fact=fact: editor.edit([fact])))
        plain.append(
            projected(reference.networks, lambda f=fact: reference.edit(setting.batch([f])))
        )
    modules, layers = len(setting.modules()), SMOKE.network.layers
    # query, key, value and output, and query and key of the gate
    assert ours == [6 * modules * layers] * 5
    # keys and values of all edits so far
    assert plain == [(3 * n + 3) * modules * layers for n in range(1, 6)]


def test_padding_is_not_computed(setting: Setting) -> None:
    facts = texts([4, 4, 4, 20])
    dafnet = setting.dafnet()
    editor, reference = setting.editor(dafnet), setting.reference(dafnet)
    with calls_of(dafnet) as ours:
        editor.edit(facts)
    with calls_of(reference.networks) as plain:
        reference.edit(setting.batch(facts))

    def rows(seen: dict[str, int]) -> int:
        return sum(n for name, n in seen.items() if name.endswith("ffn_in"))

    signals = setting.signals(facts, setting.modules(), setting.model)
    counts = [signal.tokens_per_edit for signal in signals]
    assert max(int(of.max()) for of in counts) == 19  # a text's last token is only predicted
    assert rows(ours) == SMOKE.network.layers * sum(int(of.sum()) for of in counts)
    assert rows(plain) == SMOKE.network.layers * sum(len(facts) * int(of.max()) for of in counts)


def test_the_work_of_an_edit_grows_by_its_row_of_attention_only(setting: Setting) -> None:
    editor = setting.editor(setting.dafnet())
    config = SMOKE.network
    row = 4 * 2 * (config.inter_dim * config.inter_heads * 2 + config.gate_dim * config.gate_heads)
    found = []
    for past in (4, 8):
        editor.reset()
        editor.edit(setting.facts[:past])
        found.append(operations(lambda: editor.edit(setting.facts[20:21])))
    grown = (found[1] - found[0]) / 4 / len(setting.modules()) / config.layers
    assert 0 < grown <= row


# -- a training step --------------------------------------------------------------------------


def test_the_network_is_back_propagated_once_however_many_losses(setting: Setting) -> None:
    edits = SMOKE.steps[-1]
    dafnet, modules = setting.dafnet().train(), setting.modules()
    signals = setting.signals(setting.facts[:edits], modules, setting.model)
    questions = setting.questions(edits)
    with backward_passes() as engine, gradients_reaching(dafnet.edit_lrs) as network:
        meta_step(setting.model, modules, dafnet, signals, questions)
    assert network == [1]
    assert engine == [len(questions) + 1]

    reference = setting.reference(setting.dafnet().train())
    batch = setting.batch(setting.facts[:edits])
    with gradients_reaching(reference.edit_lrs) as plainly:
        reference.training_step(batch, questions)
    assert plainly == [len(questions)]


def test_a_step_reads_no_signal_and_computes_and_keeps_less(setting: Setting) -> None:
    edits = SMOKE.steps[-1]
    ours, plain = our_step(setting, edits), plain_step(setting, edits)
    for step in (ours, plain):
        step()  # what an optimiser makes the first time
    assert operations(ours) * 1.5 < operations(plain)
    peaks = []
    for step in (ours, plain):
        with Allocations() as seen:
            step()
        peaks.append(seen.peak)
    assert peaks[0] < peaks[1]

    with calls_of(setting.model) as seen:
        ours()
    questions = setting.questions(edits)
    expected = sum((2 if q.compares else 1) * q.batch.labels.numel() for q in questions)
    assert seen["tokens"] == expected


# -- the signal -------------------------------------------------------------------------------


def test_a_signal_costs_a_forward_and_the_backward_on_top(setting: Setting) -> None:
    batch, modules = setting.batch(setting.facts[:4]), setting.modules()

    def ours() -> object:
        return capture_batch(setting.model, modules, batch)

    assert operations(ours) == operations(lambda: least(setting.model, modules[0], batch))
    assert weight_gradients(setting.model, ours) == 0
    with backward_passes() as passes, calls_of(setting.model) as seen:
        ours()
    assert passes == [1] and (seen["calls"], seen["tokens"]) == (1, batch.labels.numel())

    reference = setting.reference(setting.dafnet())
    plainly = weight_gradients(reference.original, lambda: reference.signals(batch))
    assert plainly == len(list(reference.original.parameters()))


# -- the loss ---------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [vocabulary.OURS, vocabulary.PLAIN])
def test_memory_of_the_loss_by_positions_and_vocabulary(who: str) -> None:
    def position(words: int) -> float:
        """Bytes that a position costs which is not scored."""
        sizes = replace(SMOKE, words=words)
        few, many = (counted(vocabulary.prepare, sizes, 0, who, n).extra for n in (8, 32))
        return (many - few) / (24 * vocabulary.TEXTS)

    small, large = position(2000), position(4000)
    if who == vocabulary.OURS:
        assert large <= small
    else:
        assert large - small > 4 * 2000


# -- what is kept -----------------------------------------------------------------------------


def test_editing_keeps_no_second_model(setting: Setting) -> None:
    model = sum(p.numel() * p.element_size() for p in setting.model.parameters())
    held = {}
    for who in (editing_memory.PUBLISHED, editing_memory.PLAIN):
        held[who] = counted(editing_memory.prepare, SMOKE, 0, who, 3, SMOKE.model).held
    allowed = editing_memory.allowed(setting.modules(), least_squares=False)
    assert held[editing_memory.PUBLISHED] <= allowed
    assert held[editing_memory.PLAIN] > model


def test_an_edited_model_computes_what_the_unedited_does(setting: Setting) -> None:
    dafnet, facts = setting.dafnet(), setting.facts[:3]
    editor, reference = setting.editor(dafnet), setting.reference(dafnet)
    text = setting.batch(setting.facts[:4]).input_ids
    before = operations(lambda: editor.model(text))
    editor.edit(facts)
    reference.edit(setting.batch(facts))
    assert operations(lambda: editor.model(text)) == before
    assert reference.memory is not None
    with reference.edited(reference.memory):
        assert operations(lambda: reference.model(text)) > before


def test_one_call_reads_the_texts_once_and_gives_the_same(setting: Setting) -> None:
    dafnet, facts = setting.dafnet(shipped=True), setting.facts[:6]
    at_once, singly = (setting.editor(dafnet, shipped=True) for _ in range(2))
    with calls_of(at_once.model) as one:
        at_once.edit(facts)
    with calls_of(singly.model) as many:
        for fact in facts:
            singly.edit([fact])
    assert (one["calls"], many["calls"]) == (1, 6)
    assert difference(at_once, singly) < 1e-4
