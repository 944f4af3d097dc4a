"""Meta-training: from cases and a base model to a trained DAFNet."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dafnet_plugin.artifacts.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dafnet_plugin.base_models import load_base_model
from dafnet_plugin.cases import EditCase
from dafnet_plugin.editing.modules import check_in_memory, find_edit_modules
from dafnet_plugin.editing.objective import Question
from dafnet_plugin.editing.statistics import key_moments
from dafnet_plugin.errors import NumericalError
from dafnet_plugin.hparams import DAFNetTrainingHparams
from dafnet_plugin.tokens import Encoded, context_length
from dafnet_plugin.training.bank import CaseBank, build_bank, paraphrases_of
from dafnet_plugin.training.build import new_dafnet
from dafnet_plugin.training.interrupt import deferred_interrupt
from dafnet_plugin.training.processes import Processes
from dafnet_plugin.training.questions import draw_questions, randint
from dafnet_plugin.training.reporting import Reporter
from dafnet_plugin.training.resume import TrainingState, load_state, save_state
from dafnet_plugin.training.schedule import progress, set_learning_rates
from dafnet_plugin.training.settings import check_supported, model_label, new_curriculum
from dafnet_plugin.training.sources import cases_of, hold_out
from dafnet_plugin.training.step import meta_step
from dafnet_plugin.training.text import preserved_texts
from dafnet_plugin.training.validation import Scores, SequentialValidation


class DAFNetTrainer:
    """Meta-trains DAFNet; constructed and run like EasyEdit's ``EditTrainer``.

    Args:
        config: see :class:`dafnet_plugin.hparams.DAFNetTrainingHparams`.
        train_set: edit cases, an EasyEdit data set, or several of them by source name; each
            sequence of edits is drawn from one source.
        val_set: edit cases or an EasyEdit data set, none of them in ``train_set``; None holds
            out ``val_share`` of the training subjects, or, if that is 0, validates nothing and
            keeps the last weights.
        resume: go on from the state a stopped run with the same config left behind.

    Started by ``accelerate launch``, each process does its share of the ``accumulate_bs``
    sequences of a step, and one writes; ``results_dir`` must be a folder that all of them see.

    Raises:
        ConfigError, ModelError, DataError: before any training, naming what is wrong.
    """

    def __init__(
        self,
        config: DAFNetTrainingHparams,
        train_set: Any,
        val_set: Any = None,
        *,
        resume: bool = False,
    ) -> None:
        self.config = config
        self.processes = Processes(config.device)
        check_supported(config, self.processes.count)
        self.device = self.processes.device
        self.silent = config.silent or not self.processes.main
        if config.threads:
            torch.set_num_threads(config.threads)
        self.directory = Path(config.results_dir) / "models" / config.METHOD / model_label(config)
        self.processes.check_shared(Path(config.results_dir), "results_dir")
        sources = cases_of(train_set)
        if val_set is None and config.val_share:
            sources, val_set = hold_out(sources, config.val_share, config.seed)
        self.model, self.tokenizer = load_base_model(config, self.device)
        self.model.eval()
        self.modules = find_edit_modules(self.model, config.edit_modules)
        check_in_memory(self.modules)
        torch.manual_seed(config.seed)
        self.dafnet = self._new_network()
        self.banks = [self._bank(name, cases) for name, cases in sources.items()]
        self.text = self._preserved([case for cases in sources.values() for case in cases])
        self._fix_statistics()
        self.processes.copy(self.dafnet.state_dict())
        self.validation = self._validation(val_set)
        self.curriculum = new_curriculum(config)
        self.generator = torch.Generator().manual_seed(config.seed)
        groups = [group | {"peak": group["lr"]} for group in self._optimiser_groups()]
        self.optimiser = getattr(torch.optim, config.opt)(groups)
        self.state = TrainingState()
        if resume:
            load_state(self, self._state_path)

    # -- the run ------------------------------------------------------------------------------

    def run(self) -> Checkpoint:
        """Train to the end, or to the first interrupt, and return the best DAFNet.

        Ctrl-C (SIGINT) stops after the step in progress and saves the state for ``resume``;
        after a second Ctrl-C or a SIGKILL, ``resume`` goes on from the last periodic state. Either
        way the final weights are those of a run that was never stopped (same machine, no
        ``max_seconds``).

        Raises:
            NumericalError: training diverged; the state saved last is intact.
            KeyboardInterrupt: after the state was saved.
        """
        config = self.config
        started = time.monotonic() - self.state.seconds
        with self._reporter() as reporter, deferred_interrupt() as interrupt:
            while self._progress() < 1:
                losses = self._step()
                self.state.iteration = iteration = self.state.iteration + 1
                self.state.seconds = self.processes.same(time.monotonic() - started)
                reporter.step(iteration, self._progress(), losses, self.curriculum.longest)
                if iteration % config.val_interval == 0 or self._progress() >= 1:
                    self._validate(reporter)
                stopping = self.processes.any(interrupt.asked)
                if stopping or iteration % config.checkpoint_interval == 0:
                    self._save_state()
                if stopping:
                    raise KeyboardInterrupt
        self._save_state()
        if not self.state.history:
            self._keep(None)
        self.processes.wait()
        return self._written()

    def _step(self) -> dict[str, float]:
        """One optimiser step over ``accumulate_bs`` sequences."""
        set_learning_rates(self.optimiser, self.config, self.state.iteration, self._progress())
        self.dafnet.train()
        self.optimiser.zero_grad()
        mine: dict[int, dict[str, float] | NumericalError] = {}
        for number in range(self.config.accumulate_bs):
            bank = self.banks[randint(len(self.banks), self.generator)]
            edits = min(self.curriculum.draw(self._progress(), self.generator), len(bank))
            cases = torch.randperm(len(bank), generator=self.generator)[:edits]
            questions = self._questions(bank, cases.tolist())
            if self.processes.takes(number):
                try:
                    mine[number] = meta_step(
                        self.model,
                        self.modules,
                        self.dafnet,
                        bank.select(cases),
                        questions,
                        autocast=self._autocast,
                    )
                except NumericalError as error:
                    mine[number] = error
        losses: dict[str, float] = {}
        for outcome in self.processes.gathered(mine).values():
            if isinstance(outcome, NumericalError):  # in all processes: none waits for ever
                raise outcome
            self._observe(losses := outcome)
        self.processes.add_gradients(self.dafnet.parameters())
        losses["gradient_norm"] = float(
            torch.nn.utils.clip_grad_norm_(self.dafnet.parameters(), self.config.grad_clip)
        )
        if not math.isfinite(losses["gradient_norm"]):
            self.optimiser.zero_grad()
            raise NumericalError(f"meta-training diverged: infinite gradient, losses {losses}")
        self.optimiser.step()
        return losses | {"edits": float(edits)}

    def _questions(self, bank: CaseBank, edited: list[int]) -> list[Question]:
        """What is asked of the model after the edits."""
        return draw_questions(self.config, bank, edited, self.text, self.generator)

    def _observe(self, losses: dict[str, float]) -> None:
        """Take note of a sequence's losses."""
        self.curriculum.observe(losses["total"])

    # -- preparation --------------------------------------------------------------------------

    def _new_network(self) -> Any:
        """What is to be trained, beside the modules it is for."""
        places = [edit_module.weight.device for edit_module in self.modules]
        return new_dafnet(self.config, self.modules).place(places)

    def _bank(self, name: str, cases: Sequence[EditCase]) -> CaseBank:
        with tqdm(total=len(cases), desc=f"signals of {name}", disable=self.silent) as bar:
            return build_bank(
                name,
                cases,
                self.model,
                self.tokenizer,
                self.modules,
                batch_size=self.config.signal_batch_size,
                chat=self.config.use_chat_template,
                progress=bar.update,
            )

    def _preserved(self, cases: Sequence[EditCase]) -> list[Encoded]:
        """What edits shall leave alone."""
        return preserved_texts(self.config, self.tokenizer, cases, context_length(self.model))

    def _fix_statistics(self) -> None:
        for bank in self.banks:
            self.dafnet.standardise_on(bank.signals)
        if self.config.fusion.kind == "least_squares":
            batches = self.banks[0].batches(self.text, 64)
            self.dafnet.preserve(key_moments(self.model, self.modules, batches))

    def _validation(self, val_set: Any) -> SequentialValidation | None:
        if val_set is None:
            return None
        cases = [case for some in cases_of(val_set).values() for case in some]
        random.Random(self.config.seed).shuffle(cases)
        longest = max([self.config.val_cases, *self.config.val_edits])
        bank = self._bank("validation", cases[:longest])
        return SequentialValidation(
            self.model, self.modules, bank, self.config.val_edits, self.config.val_cases
        )

    def _optimiser_groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate."""
        networks = list(self.dafnet.networks.parameters())
        known = set(map(id, networks))
        rates = [p for p in self.dafnet.parameters() if id(p) not in known]
        return [
            {"params": networks, "lr": self.config.lr},
            {"params": rates, "lr": self.config.lr_lr},
        ]

    def _progress(self) -> float:
        """Share of training done."""
        state = self.state
        return progress(self.config, state.iteration, state.seconds, sum(map(len, self.banks)))

    # -- what is kept -------------------------------------------------------------------------

    def _validate(self, reporter: Reporter) -> None:
        if self.validation is None:
            return
        scores = self.validation.run(self.dafnet)
        mean = sum(score.average for score in scores.values()) / len(scores)
        self.state.history.append(
            {
                "iteration": self.state.iteration,
                "average": mean,
                "scores": {str(n): dataclasses.asdict(score) for n, score in scores.items()},
            }
        )
        reporter.validation(self.state.iteration, scores)
        if mean > self.state.best:
            self.state.best = mean
            self._keep(scores)

    def _keep(self, scores: dict[int, Scores] | None) -> None:
        named = {str(n): dataclasses.asdict(s) for n, s in (scores or {}).items()}
        training = {
            "seed": self.config.seed,
            "iteration": self.state.iteration,
            "seconds": round(self.state.seconds, 1),
            "sources": {bank.name: len(bank) for bank in self.banks},
            "validation": named,
            "config": self.config.to_dict() | {"model_name": model_label(self.config)},
        }
        if self.processes.main:
            self._write(training)

    def _save_state(self) -> None:
        """Write what ``resume`` needs."""
        if self.processes.main:
            save_state(self, self._state_path)

    def _write(self, training: dict[str, Any]) -> None:
        """Write what has been trained, with what is known of its training."""
        names = tuple(edit_module.name for edit_module in self.modules)
        checkpoint = Checkpoint(self.dafnet, names, training)
        if self.config.fusion.kind == "least_squares":  # nothing else is consolidated
            pairs = paraphrases_of(self.banks, self.config.seed)
            checkpoint = dataclasses.replace(checkpoint, replay=tuple(self.text), paraphrases=pairs)
        save_checkpoint(checkpoint, self.directory)

    def _written(self) -> Any:
        """What :meth:`_write` wrote last."""
        return load_checkpoint(self.directory)

    # -- small things -------------------------------------------------------------------------

    def _reporter(self) -> Reporter:
        config = self.config
        return Reporter(
            self.directory if config.tensorboard and self.processes.main else None,
            self._progress(),
            silent=self.silent,
            interval=config.log_interval,
        )

    @property
    def _state_path(self) -> Path:
        return self.directory / "training-state.pt"

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.autocast)
