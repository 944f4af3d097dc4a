"""The training loop behind :func:`dafnet_plugin.data.base_model.train_base_model`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from dafnet_plugin.data.base_model import PROVENANCE, BaseModelConfig, BaseModelReport
from dafnet_plugin.data.statements import Statement
from dafnet_plugin.data.tokenizer import END_OF_TEXT, encode, save_tokenizer, train_tokenizer
from dafnet_plugin.errors import DataError, NumericalError

GROUP = 16  # batches whose texts are sorted by length together
Encoded = tuple[list[int], int]  # token ids of the whole text, number of prompt tokens


def train(
    statements: Sequence[Statement],
    probes: Sequence[Statement],
    family: str,
    directory: Path,
    config: BaseModelConfig,
    *,
    seed: int,
    device: str,
    threads: int | None,
    target_accuracy: float,
    max_seconds: float,
    progress: bool,
) -> BaseModelReport:
    """Train and save; see :func:`dafnet_plugin.data.base_model.train_base_model`."""
    started = time.monotonic()
    tokenizer = train_tokenizer((s.text for s in [*statements, *probes]), config.vocabulary)
    end = tokenizer.token_to_id(END_OF_TEXT)
    period = tokenizer.encode(".").ids
    # A sentence ends with a period and the end of text, so that generation stops there.
    texts = [(ids + period + [end], cut) for ids, cut in encode(tokenizer, statements)]
    questions = list(dict.fromkeys(probes))
    asked = encode(tokenizer, questions)
    _check_lengths(texts, statements, config.context)
    _check_lengths(asked, questions, config.context)
    with _reproducible(seed, threads, device):
        model = build_model(family, config, tokenizer.get_vocab_size(), end).to(device)
        run = _Run(model, texts, asked, end, config, seed, device)
        with tqdm(
            total=None, desc=f"base model {family}", unit="step", disable=not progress
        ) as bar:
            steps = run.until_known(target_accuracy, started + max_seconds, bar)
        accuracy = run.count_known(exact=True)
        used = torch.get_num_threads()
    (directory / PROVENANCE).unlink(missing_ok=True)
    # Set only now: with a pad token transformers warns of every batch without a mask, which
    # padding on the right does not need.
    model.config.pad_token_id = model.generation_config.pad_token_id = end
    model.cpu().eval().save_pretrained(directory)
    save_tokenizer(tokenizer, family, directory, max_length=config.context)
    return BaseModelReport(
        family=family,
        directory=str(directory),
        accuracy=accuracy,
        reached=accuracy >= target_accuracy,
        probes=len(asked),
        statements=len(texts),
        steps=steps,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=time.monotonic() - started,
        threads=used,
        device=device,
        cached=False,
    )


def build_model(family: str, config: BaseModelConfig, vocabulary: int, end: int) -> Any:
    """Return a model with random weights (from torch's global generator) in float32."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    model: Any
    if family == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=vocabulary,
                n_positions=config.context,
                n_embd=config.width,
                n_layer=config.layers,
                n_head=config.heads,
                n_inner=config.inner,
                activation_function="gelu_pytorch_tanh",  # GPT-2's own, in one operation
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=end,
                eos_token_id=end,
            )
        )
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary,
                max_position_embeddings=config.context,
                hidden_size=config.width,
                intermediate_size=config.inner or config.width * 8 // 3,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                tie_word_embeddings=True,
                bos_token_id=end,
                eos_token_id=end,
            )
        )
    nn.init.normal_(model.get_input_embeddings().weight, std=config.embedding_std)
    return model


class _Run:
    """A model in training, with its data."""

    def __init__(
        self,
        model: Any,
        texts: Sequence[Encoded],
        asked: Sequence[Encoded],
        end: int,
        config: BaseModelConfig,
        seed: int,
        device: str,
    ) -> None:
        self.model, self.config, self.device, self.end = model, config, torch.device(device), end
        self.texts, self.asked = texts, asked
        self.order = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.batches = self._batches()
        self.known = 0.0

    def until_known(self, target: float, deadline: float, bar: tqdm[Any]) -> int:
        """Train until ``target`` of the probes are known, time or steps run out.

        The rate is held until nearly so many are known, then decayed to zero, in which the
        rest are learned; where they are not, the same again from a higher mark.

        Returns:
            Number of steps.
        """
        config, step, mark = self.config, 0, target - self.config.decay_margin
        while True:
            late = False
            while not late:
                self._report(bar, self.step(self._rate(step)))
                step += 1
                late = time.monotonic() > deadline or step >= config.max_steps
                if step % config.check_every == 0 and self.count_known() >= mark:
                    break
            decay = max(config.min_decay, round(config.decay_share * step))
            bar.total = step + decay
            for left in range(decay, 0, -1):
                self._report(bar, self.step(self._rate(step) * left / decay))
                step += 1
            if self.count_known(exact=True) >= target or late:
                return step
            bar.total, mark = None, target

    def _rate(self, step: int) -> float:
        return self.config.learning_rate * min(1.0, (step + 1) / self.config.warmup)

    def _report(self, bar: tqdm[Any], loss: float) -> None:
        bar.set_postfix(loss=f"{loss:.3f}", known=f"{self.known:.1%}", refresh=False)
        bar.update()

    def step(self, learning_rate: float) -> float:
        """One optimiser step; returns the loss in nats a token."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        ids, weights = next(self.batches)
        rows, columns = (weights[:, 1:] > 0).nonzero(as_tuple=True)
        # Plain attention: for a dozen tokens the fused kernels take several times as long.
        with self._autocast(), sdpa_kernel(SDPBackend.MATH):
            hidden = self.model.base_model(input_ids=ids[:, :-1], use_cache=False)[0]
            # The head is the largest matrix: it is applied where a token counts.
            logits = self.model.lm_head(hidden[rows, columns])
        losses = cross_entropy(logits.float(), ids[rows, columns + 1], reduction="none")
        counted = weights[rows, columns + 1]
        loss = (losses * counted).sum() / counted.sum()
        if not torch.isfinite(loss):
            raise NumericalError("the loss of the base model is not finite; nothing was saved")
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    @torch.no_grad()
    def count_known(self, *, exact: bool = False) -> float:
        """Return (and keep) the share of probes all of whose answer tokens are the arg-max.

        Args:
            exact: compute in float32, as the saved model will, rather than as in training.
        """
        right = 0
        order = sorted(range(len(self.asked)), key=lambda index: len(self.asked[index][0]))
        for start in range(0, len(order), 256):
            chosen = [self.asked[index] for index in order[start : start + 256]]
            ids, answer = pad_batch(chosen, self.end, 0.0, self.device)
            with self._autocast(enabled=not exact):
                hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
                rows, columns = (answer > 0).nonzero(as_tuple=True)
                # The head is applied where an answer token is predicted, not everywhere.
                best = self.model.lm_head(hidden[rows, columns - 1]).argmax(-1)
            wrong = torch.zeros(len(chosen), device=self.device)
            wrong.index_add_(0, rows, (best != ids[rows, columns]).float())
            right += int((wrong == 0).sum())
        self.known = right / len(self.asked)
        return self.known

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches without end, all statements in a new order each time round."""
        size = self.config.batch_size
        while True:
            order = torch.randperm(len(self.texts), generator=self.order).tolist()
            # Texts of like length share a batch, so that little of it is padding; the batches
            # of such a group come in random order.
            for start in range(0, len(order), size * GROUP):
                group = sorted(order[start : start + size * GROUP], key=self._length)
                batches = [group[at : at + size] for at in range(0, len(group), size)]
                for index in torch.randperm(len(batches), generator=self.order).tolist():
                    yield self._batch(batches[index])

    def _length(self, index: int) -> int:
        return len(self.texts[index][0])

    def _batch(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Ids and weights of a batch; of the prompt tokens a random share counts."""
        texts = [self.texts[index] for index in chosen]
        ids, weights = pad_batch(texts, self.end, self.config.prompt_weight, self.device)
        drawn = torch.rand(weights.shape, generator=self.order).to(self.device)
        return ids, weights.masked_fill((weights < 1) & (drawn > self.config.prompt_share), 0.0)

    def _autocast(self, *, enabled: bool = True) -> torch.autocast:
        enabled = enabled and self.config.autocast
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)


def pad_batch(
    chosen: Sequence[Encoded], end: int, prompt_weight: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pad on the right, where a causal model needs no mask.

    Returns:
        Token ids and loss weights (0 where padded), both ``[texts, tokens]``.
    """
    length = max(len(ids) for ids, _ in chosen)
    ids = torch.full((len(chosen), length), end, dtype=torch.long)
    weights = torch.zeros(len(chosen), length)
    for row, (text, cut) in enumerate(chosen):
        ids[row, : len(text)] = torch.tensor(text)
        weights[row, :cut] = prompt_weight
        weights[row, cut : len(text)] = 1.0
    return ids.to(device), weights.to(device)


def _check_lengths(encoded: Sequence[Encoded], named: Sequence[Statement], context: int) -> None:
    for (ids, _), statement in zip(encoded, named):
        if len(ids) > context:
            raise DataError(
                f"{statement.text!r} has {len(ids)} tokens; the context is {context} tokens"
            )


@contextmanager
def _reproducible(seed: int, threads: int | None, device: str) -> Iterator[None]:
    """Seed torch and set its threads inside the block only."""
    before = torch.get_num_threads()
    devices = [torch.device(device)] if device.startswith("cuda") else []
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
