"""What is measured on: a random model, random facts of realistic length, and DAFNets."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.speed.reference_like import ReferenceLike
from benchmarks.speed.sizes import ModelSize, Sizes
from dafnet_plugin.cases import EditRequest
from dafnet_plugin.editing.consolidation import Consolidation, ConsolidationConfig
from dafnet_plugin.editing.dafnet import DAFNet
from dafnet_plugin.editing.editor import DAFNetEditor
from dafnet_plugin.editing.fusion import FusionConfig
from dafnet_plugin.editing.modules import EditModule, find_edit_modules
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.editing.signals import Signal, capture
from dafnet_plugin.network import NetworkConfig
from dafnet_plugin.tokens import Encoded, TokenBatch, collate, encode, pad_id_of

POSITIONS = 128
"""Context of the models, in tokens."""
QUESTION_TEXTS = 128
"""Texts of one batch of a loss, as in meta-training."""
PLAIN_TEXTS, PLAIN_TOKENS = 8, 40
"""Of plain text in a training step, each position of which is scored; no more than edits."""
SIGNAL_TEXTS = 64
"""Edits of a forward pass for signals, where there are many."""


def random_model(size: ModelSize, seed: int) -> Any:
    """A GPT-2 in float32 that knows nothing."""
    import transformers

    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=size.vocabulary,
        n_positions=POSITIONS,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config).eval()


def word_tokenizer(vocabulary: int) -> Any:
    """A token for each of the words ``w1``, ``w2``, ...; token 0 is the end of text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<end>": 0} | {f"w{n}": n for n in range(1, vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def random_requests(count: int, vocabulary: int, seed: int) -> list[EditRequest]:
    """Facts as long as those of ZsRE: 5 to 21 words, 10 on average, one to three to be learnt."""
    rng = random.Random(seed)

    def words(number: int) -> str:
        return " ".join(f"w{rng.randrange(1, vocabulary)}" for _ in range(number))

    found = []
    for _ in range(count):
        target = rng.choices((1, 2, 3), (4, 3, 2))[0]
        length = 5 + round(16 * rng.betavariate(3, 6))
        found.append(EditRequest(words(length - target), words(target)))
    return found


def published_names(size: ModelSize) -> list[str]:
    """Every matrix of the MLPs of the last layers."""
    return [
        f"transformer.h.{layer}.mlp.{name}"
        for layer in range(size.layers - size.edited, size.layers)
        for name in ("c_fc", "c_proj")
    ]


def shipped_names(size: ModelSize) -> list[str]:
    """The last matrix of every MLP, as of all models of at most four layers."""
    return [f"transformer.h.{layer}.mlp.c_proj" for layer in range(size.layers)]


@dataclass(frozen=True)
class Setting:
    """A model with what its measurements need; everything follows from sizes and seed.

    Attributes:
        facts: so many as any measurement needs.
    """

    sizes: Sizes
    size: ModelSize
    seed: int
    model: Any
    tokenizer: Any
    facts: list[EditRequest]

    @classmethod
    def make(cls, sizes: Sizes, seed: int, size: ModelSize | None = None) -> Setting:
        """Build the model, the tokenizer and the facts.

        Args:
            size: of the model, if not that of most measurements.
        """
        size = size or sizes.model
        count = 3 * max(sizes.long_step, sizes.positions[-1] + sizes.burst, SIGNAL_TEXTS)
        facts = random_requests(count, size.vocabulary, seed)
        model, tokenizer = random_model(size, seed), word_tokenizer(size.vocabulary)
        return cls(sizes, size, seed, model, tokenizer, facts)

    def dafnet(self, *, shipped: bool = False, model: nn.Module | None = None) -> DAFNet:
        """An untrained DAFNet in eval mode, as published or as shipped.

        What it says is of no use, but it takes as long. Normalisers know the first facts.
        """
        model = model or self.model
        modules = self.modules(shipped=shipped, model=model)
        torch.manual_seed(self.seed)
        fusion = FusionConfig() if shipped else FusionConfig("running_mean", -1e-4)
        dafnet = DAFNet([m.shape for m in modules], self.network(shipped), fusion)
        some = self.signals(self.facts[:32], modules, model)
        if shipped:
            dafnet.standardise_on(some)
        else:
            with torch.no_grad():
                dafnet.train()(some)
        return dafnet.eval()

    def network(self, shipped: bool) -> NetworkConfig:
        """Sizes of the auxiliary networks."""
        return self.sizes.shipped if shipped else self.sizes.network

    def names(self, *, shipped: bool = False) -> list[str]:
        """Of the modules that are edited."""
        return shipped_names(self.size) if shipped else published_names(self.size)

    def modules(self, *, shipped: bool = False, model: nn.Module | None = None) -> list[EditModule]:
        """The modules that are edited."""
        return find_edit_modules(model or self.model, self.names(shipped=shipped))

    def signals(
        self, facts: Sequence[EditRequest], modules: Sequence[EditModule], model: nn.Module
    ) -> list[Signal]:
        """Gradient signals of facts."""
        return capture(
            model, modules, self.encoded(facts), pad_id=self.pad_id, batch_size=SIGNAL_TEXTS
        )

    def editor(
        self,
        dafnet: DAFNet,
        *,
        shipped: bool = False,
        consolidated: bool = False,
        model: nn.Module | None = None,
    ) -> DAFNetEditor:
        """Ours, with a model of its own unless one is given."""
        return DAFNetEditor(
            copy.deepcopy(self.model) if model is None else model,
            self.tokenizer,
            dafnet,
            self.names(shipped=shipped),
            batch_size=SIGNAL_TEXTS,
            consolidation=self._consolidation() if consolidated else None,
        )

    def reference(self, dafnet: DAFNet, model: nn.Module | None = None) -> ReferenceLike:
        """The plain version, likewise; the second model is always its own."""
        model = copy.deepcopy(self.model) if model is None else model
        return ReferenceLike(model, self.names(), dafnet, SIGNAL_TEXTS)

    def questions(self, edits: int) -> list[Question]:
        """Losses of a training step: the facts, as many texts for two losses, and plain text."""
        kinds = (("reliability", 0.1, False), ("generality", 0.1, False), ("locality", 0.2, True))
        found = []
        for number, (name, weight, compares) in enumerate(kinds):
            texts = self.facts[number * edits : (number + 1) * edits]
            for start in range(0, edits, QUESTION_TEXTS):
                batch = self.batch(texts[start : start + QUESTION_TEXTS])
                found.append(Question(name, batch, weight, compares))
        rng = random.Random(self.seed)
        plain = [
            Encoded(tuple(rng.randrange(1, self.size.vocabulary) for _ in range(PLAIN_TOKENS)), 1)
            for _ in range(min(edits, PLAIN_TEXTS))
        ]
        return [*found, Question("text", collate(plain, self.pad_id), 0.1, True)]

    def encoded(self, facts: Sequence[EditRequest]) -> list[Encoded]:
        """Facts as token ids."""
        pairs = [(fact.prompt, fact.target_new) for fact in facts]
        return encode(self.tokenizer, pairs, POSITIONS)

    def batch(self, facts: Sequence[EditRequest]) -> TokenBatch:
        """Facts as one batch."""
        return collate(self.encoded(facts), self.pad_id)

    @property
    def pad_id(self) -> int:
        """Token id to pad with."""
        return pad_id_of(self.tokenizer)

    def _consolidation(self) -> Consolidation:
        start = min(ConsolidationConfig().start, max(self.sizes.consolidated // 2, 1))
        config = ConsolidationConfig(start=start)
        return Consolidation(config, tuple(self.encoded(self.facts[-len(self.facts) // 3 :])))
