"""A world of a few words, and tiny models that know it."""

from __future__ import annotations

import functools
import random
from typing import Any

import torch
import torch.nn.functional as F

from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.tokens import collate, encode

PEOPLE = ("Ada", "Bo", "Cleo", "Dirk", "Eve", "Femi", "Gus", "Hana", "Ivo", "June", "Kofi", "Lea")
PLACES = (
    *("Rome", "Paris", "London", "Oslo", "Cairo", "Lima"),
    *("Delhi", "Kyoto", "Quito", "Turin", "Accra", "Perth"),
)
FOODS = ("rice", "bread", "plums", "nuts")
LIVES = ("{} lives in", "{} resides in", "the home of {} is", "{} dwells in")
LIKES = ("{} likes", "{} enjoys")
WIDTH, LAYERS = 32, 2
LAST = {"gpt2": "transformer.h.1.mlp", "llama": "model.layers.1.mlp"}
FIRST = {"gpt2": "transformer.h.0.mlp", "llama": "model.layers.0.mlp"}
MATRICES = {
    "gpt2": ["transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"],
    "llama": ["model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"],
}
_DRAWN = random.Random(0)
# One each: in a last block this narrow, people of one home would be one and the same query.
HOMES = dict(zip(PEOPLE, _DRAWN.sample(PLACES, len(PLACES))))
MEALS = {person: _DRAWN.choice(FOODS) for person in PEOPLE}
STATEMENTS = [
    *((template.format(p), HOMES[p]) for p in PEOPLE for template in LIVES),
    *((template.format(p), MEALS[p]) for p in PEOPLE for template in LIKES),
]
SENTENCES = [f"{prompt} {answer}" for prompt, answer in STATEMENTS]


def tokenizer() -> Any:
    """A token a word; ``<end>`` ends and pads."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = sorted({word for text in SENTENCES for word in text.split()} | {*PLACES, *FOODS})
    vocabulary = {word: number for number, word in enumerate(["<end>", *words])}
    found = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    found.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=found, eos_token="<end>", pad_token="<end>")


@functools.cache
def trained_weights(family: str) -> dict[str, torch.Tensor]:
    """Weights of a model that gives every answer of the world; seconds of training."""
    torch.manual_seed(0)
    model = untrained(family).train()
    batch = collate(encode(tokenizer(), STATEMENTS), 0)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(200):
        optimiser.zero_grad()
        loss = F.cross_entropy(scored_logits(model, batch), scored_labels(batch))
        loss.backward()
        optimiser.step()
        if loss.item() < 0.01:
            break
    assert loss.item() < 0.02, loss.item()
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def untrained(family: str) -> Any:
    """A random model."""
    import transformers

    size = {"vocab_size": len(tokenizer()), "eos_token_id": 0, "bos_token_id": 0}
    if family == "gpt2":
        config = transformers.GPT2Config(
            n_positions=16, n_embd=WIDTH, n_layer=LAYERS, n_head=2, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, **size,
        )  # fmt: skip
        return transformers.GPT2LMHeadModel(config)
    config = transformers.LlamaConfig(
        hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=2,
        max_position_embeddings=16, **size,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def model(family: str) -> Any:
    """A model of its own that knows the world."""
    found = untrained(family)
    found.load_state_dict(trained_weights(family))
    return found.eval()


def other_home(person: str, shift: int = 1) -> str:
    """A place where somebody does not live."""
    return PLACES[(PLACES.index(HOMES[person]) + shift) % len(PLACES)]


def moves(*people: str, template: str = LIVES[0]) -> list[EditRequest]:
    """Requests that people live elsewhere."""
    return [EditRequest(template.format(p), other_home(p), p, HOMES[p]) for p in people]


def cases(people: tuple[str, ...] = PEOPLE) -> list[EditCase]:
    """The same as cases; what they and others like stays, and so do the homes of others."""
    return [
        EditCase(
            person,
            request,
            tuple(Probe(t.format(person), request.target_new) for t in LIVES[1:]),
            tuple(Probe(*statement) for statement in _others(person)),
        )
        for person, request in zip(people, moves(*people))
    ]


def _others(person: str) -> list[tuple[str, str]]:
    homes = [(LIVES[0].format(other), HOMES[other]) for other in PEOPLE if other != person]
    return [*homes[:4], (LIKES[0].format(person), MEALS[person])]


@torch.no_grad()
def answers(of: Any, prompts: list[str]) -> list[str]:
    """The likeliest next word after each prompt."""
    words = tokenizer()
    logits = scored_logits(of, collate(encode(words, [(p, "Rome") for p in prompts]), 0))
    return words.convert_ids_to_tokens(logits.argmax(-1).tolist())


@torch.no_grad()
def log_probability(of: Any, prompt: str, answer: str) -> float:
    """In nats."""
    batch = collate(encode(tokenizer(), [(prompt, answer)]), 0)
    return -F.cross_entropy(scored_logits(of, batch), scored_labels(batch)).item()


def bits(of: Any) -> dict[str, bytes]:
    """The bytes of every parameter by name."""
    return {name: p.detach().numpy().tobytes() for name, p in of.named_parameters()}
