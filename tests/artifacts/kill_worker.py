"""Kills processes that edit with a journal, at random moments, and looks at what is left.

Usage: ``python -m tests.artifacts.kill_worker FOLDER KILLS SEED REPORT.json``. Everything is
imported once; each process that is killed is forked from this one. A journal is begun anew every
twenty kills; in every second one of them the sequence is consolidated.
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from dafnet_plugin.artifacts import journal as journal_module
from dafnet_plugin.artifacts.edits import DAFNetEdits
from dafnet_plugin.artifacts.journal import FILE
from dafnet_plugin.artifacts.record_json import calls_from_json, calls_to_json
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import Consolidation, ConsolidationConfig
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.fusion import FusionState
from dafnet_plugin.editing.modules import find_edit_modules
from dafnet_plugin.editing.record import Call, Calls, edits_of, named, with_other, without
from dafnet_plugin.tokens import encode
from tests import helpers

MODULES = helpers.MODULES["gpt2"][1:2]
LONGEST = 6
EACH = 20
"""Kills of one journal."""
CONSOLIDATION = ConsolidationConfig(start=2, growth=3, steps=1, texts=2, rate=0.3, autocast=False)
Pipe = multiprocessing.connection.Connection


def make_editor(consolidated: bool) -> DAFNetEditor:
    base = helpers.model("gpt2")
    shapes = [module.shape for module in find_edit_modules(base, MODULES)]
    dafnet = helpers.random_dafnet(shapes, kind="least_squares", normaliser="layer_norm")
    editor = DAFNetEditor(base, helpers.tokenizer(), dafnet, MODULES)
    if consolidated:
        texts = [(f"{person} was born in", "Rome") for person in helpers.PEOPLE[:4]]
        encoded = tuple(encode(helpers.tokenizer(), texts))
        editor.consolidation = Consolidation(CONSOLIDATION, encoded)
    return editor


def digest(editor: DAFNetEditor) -> str:
    state = helpers.bits(editor.model.state_dict())
    return hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest()


def updates_of(editor: DAFNetEditor) -> tuple[FusionState, ...]:
    state = editor.snapshot().state
    return state.updates if state is not None else ()


def random_request(rng: random.Random) -> EditRequest:
    return EditRequest(f"{rng.choice(helpers.PEOPLE)} lives in", rng.choice(helpers.PLACES))


def planned(edits: DAFNetEdits, rng: random.Random) -> tuple[Calls, Any]:
    """What a random change is to lead to, and the change."""
    calls = edits.editor.snapshot().calls
    names = [edit.case_id for edit in edits_of(calls)]
    kind = rng.choice(["edit", "edit", "edit", "undo", "replace"])
    if not names or (kind == "edit" and len(names) < LONGEST):
        new = [random_request(rng) for _ in range(rng.choice([1, 1, 2]))]
        call = Call(named(calls, new, None), edits.editor.settings)
        return (*calls, call), lambda: edits.edit(new)
    name, other = rng.choice(names), random_request(rng)
    if kind == "replace":
        return with_other(calls, name, other), lambda: edits.replace(name, other)
    return without(calls, name), lambda: edits.undo(name)


def die_inside(rng: random.Random, beginning: bool) -> None:
    """Let one of the next system calls that write be the last, some way into it.

    Of a journal that is only beginning, one of the few that it begins with.
    """
    left = rng.randrange(1, 5 if beginning else 10)

    def last() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    def dies(real: Any, before: Any = None) -> Any:
        def call(*arguments: Any) -> Any:
            if last():
                if rng.random() < 0.5 and before is None:
                    real(*arguments)
                elif before is not None:
                    before(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        return call

    write = os.write

    def part(descriptor: int, data: bytes) -> None:
        write(descriptor, data[: rng.randrange(len(data) + 1)])

    class System:
        """The module ``os`` as the journal sees it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    system = System()
    system.write, system.fsync = dies(write, part), dies(os.fsync)  # type: ignore[attr-defined]
    journal_module.os = system  # type: ignore[assignment]
    os.replace = dies(os.replace)  # snapshots, and the journal's first line


def live(
    editor: DAFNetEditor, folder: Path, seed: int, dies: bool, beginning: bool, pipe: Pipe
) -> None:
    """Open the journal with an editor of its own and change the edits until killed."""
    rng = random.Random(seed)
    if dies:
        die_inside(rng, beginning)
    edits = DAFNetEdits(editor, folder, snapshot_every=2)
    pipe.send(("opened", calls_to_json(edits.editor.snapshot().calls), digest(edits.editor)))
    while True:
        calls, change = planned(edits, rng)
        pipe.send(("starting", calls_to_json(calls)))
        change()
        pipe.send(("done",))


def messages_until_killed(
    context: Any,
    editor: DAFNetEditor,
    folder: Path,
    rng: random.Random,
    dies: bool,
    beginning: bool,
) -> list[tuple[Any, ...]]:
    mine, theirs = context.Pipe(duplex=False)
    arguments = editor, folder, rng.randrange(10**9), dies, beginning, theirs
    child = context.Process(target=live, args=arguments)
    child.start()
    theirs.close()
    messages: list[tuple[Any, ...]] = []
    try:
        if not dies and rng.random() < 0.2:
            mine.poll(rng.uniform(0.0, 0.03))  # killed while it opens the journal
        else:
            messages.append(mine.recv())
            end = time.monotonic() + rng.uniform(0.0, 0.03)
            while dies or mine.poll(max(0.0, end - time.monotonic())):
                messages.append(mine.recv())
    except (EOFError, OSError):  # it died, perhaps within a message
        pass
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL, f"it ended by itself: {child.exitcode}"
    while mine.poll():  # said before it died
        try:
            messages.append(mine.recv())
        except (EOFError, OSError):
            break
    return messages


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    rng, context = random.Random(seed), multiprocessing.get_context("fork")
    pairs = [(make_editor(kind), make_editor(kind)) for kind in (False, True)]
    gc.freeze()  # what is forked need not be copied
    counts: Counter[str] = Counter()
    allowed: list[Any] = [calls_to_json(())]
    for number in range(kills):
        reference, fresh = pairs[number // EACH % 2]
        if number % EACH == 0:
            allowed = [calls_to_json(())]
        journal = folder / str(number // EACH)
        beginning = number % EACH == 0 or not (journal / FILE).exists()
        dies = number % 2 == 1 or beginning
        messages = messages_until_killed(context, fresh, journal, rng, dies, beginning)
        counts["beginning"] += not (journal / FILE).exists()
        last = messages[-1][0] if messages else "opening"
        counts[last] += 1
        counts["changes"] += sum(message[0] == "done" for message in messages)
        for message in messages:
            if message[0] == "opened":
                counts["kept" if message[1] == allowed[0] else "finished"] += 1
                assert message[1] in allowed, f"kill {number}: {message[1]} is not in {allowed}"
                allowed = [message[1]]
                reference.remake(calls_from_json(message[1]))
                assert message[2] == digest(reference), f"kill {number}: other weights"
                gone_over = [update.loosened is not None for update in updates_of(reference)]
                counts["consolidated"] += any(gone_over)
            elif message[0] == "starting":
                allowed = [allowed[0], message[1]]
            else:
                allowed = [allowed[1]]
    Path(sys.argv[4]).write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
