"""Edit cases as data sets that EasyEdit's own trainer and editors accept."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data import LOADERS, get_loader
from dafnet_plugin.data.dafset import DAFSetDataset
from dafnet_plugin.data.dafset_files import EVAL
from dafnet_plugin.errors import DataError

CASES_KEY = "dafnet"


def register_datasets(ds_dict: MutableMapping[str, Any]) -> None:
    """Enter a class for every format into EasyEdit's table, built on its ZsRE class.

    ``"dafnet"`` reads case files, ``"dafnet-ripple"`` RippleEdits and so on, one for each of
    :data:`dafnet_plugin.data.LOADERS`. EasyEdit's own entries stay as they are.
    """
    zsre = ds_dict["zsre"]
    ds_dict[CASES_KEY] = case_dataset_class(zsre)
    for name in LOADERS:
        ds_dict[f"{CASES_KEY}-{name}"] = case_dataset_class(zsre, name)
    ds_dict[f"{CASES_KEY}-dafset"] = dafset_dataset_class(zsre)


def easyedit_record(case: EditCase) -> dict[str, Any]:
    """A case in the fields of EasyEdit's ZsRE data set; the first probe of each kind is kept.

    Fields of a probe that the case does not have are left out; without a paraphrase the prompt
    itself stands in, as EasyEdit tokenises one for every record.
    """
    request = case.request
    record = {
        "case_id": case.case_id,
        "prompt": request.prompt,
        "target_new": request.target_new,
        "subject": request.subject,
        "ground_truth": request.ground_truth,
        "rephrase_prompt": case.generality[0].prompt if case.generality else request.prompt,
        "cond": f"{request.ground_truth} >> {request.target_new} || {request.prompt}",
    }
    if case.locality:
        probe = case.locality[0]
        record |= {"locality_prompt": probe.prompt, "locality_ground_truth": probe.answer}
    return record


def drawn_record(case: EditCase, rng: random.Random) -> dict[str, Any]:
    """Like :func:`easyedit_record`, but with any probe of each kind instead of the first.

    Drawn anew whenever a case is trained on: of its paraphrases in different contexts, and of its
    locality probe in them and the passages of plain text.
    """
    generality = case.generality and (rng.choice(case.generality),)
    locality = case.locality and (rng.choice(case.locality),)
    return easyedit_record(dataclasses.replace(case, generality=generality, locality=locality))


def case_dataset_class(
    zsre_dataset: type, data_format: str = "cases", load: Callable[..., Any] | None = None
) -> type:
    """Return a data set class for files of a format, built on the installed EasyEdit's ZsRE class.

    The class is constructed as EasyEdit's are, ``(path, size=None, config=None)``, and takes
    options of the format's loader (``skip_bad``, ``split``, ...) besides; batches are put
    together by EasyEdit's code. Its objects have ``cases``, the edit cases with all their
    probes; ``cases.problems`` says which records were left out.

    Args:
        zsre_dataset: EasyEdit's class.
        data_format: one of :data:`dafnet_plugin.data.LOADERS`.
        load: reads the files, instead of the format's loader.

    Raises:
        DataError: no such format.
    """
    read = load or get_loader(data_format)

    class CaseDataset(zsre_dataset):
        __doc__ = f"""Edit cases from files of the format {data_format!r}."""

        def __init__(
            self,
            data_dir: str,
            size: int | None = None,
            config: Any = None,
            *_: Any,
            **options: Any,
        ) -> None:
            self.config, self.max_length = config, getattr(config, "max_length", 40)
            name = getattr(config, "tokenizer_name", None) or getattr(config, "model_name", None)
            if isinstance(name, str):
                self.tok = _tokenizer(name)
            self.cases = read(data_dir, size=size, **options)
            self._data = [easyedit_record(case) for case in self.cases]

        def collate_fn(self, batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
            """EasyEdit's batch of some records, for encoder-decoders.

            Raises:
                DataError: see :meth:`collate_gpt_fn`.
            """
            _check_locality(batch)
            result: dict[str, Any] = super().collate_fn(batch)
            return result

        def collate_gpt_fn(self, batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
            """EasyEdit's batch of some records, for decoders.

            Raises:
                DataError: a record has no locality probe, which EasyEdit's loss needs.
            """
            _check_locality(batch)
            result: dict[str, Any] = super().collate_gpt_fn(batch)
            return result

    CaseDataset.__name__ = CaseDataset.__qualname__ = f"{data_format.capitalize()}Dataset"
    return CaseDataset


def dafset_dataset_class(zsre_dataset: type) -> type:
    """DAFSet for EasyEdit's trainers: each batch of a training set is drawn from one source.

    Constructed like the other classes; options besides are those of
    :class:`dafnet_plugin.data.dafset.DAFSetDataset` and ``mix``: false (the default for the split
    ``"eval"``) gives the records as they are asked for, as an evaluation needs them.

    Args:
        zsre_dataset: EasyEdit's class.
    """
    plain = case_dataset_class(zsre_dataset, "dafset", DAFSetDataset)

    class MixedDAFSet(plain):  # type: ignore[valid-type, misc]
        __doc__ = DAFSetDataset.__doc__

        def __init__(
            self,
            data_dir: str,
            size: int | None = None,
            config: Any = None,
            *,
            mix: bool | None = None,
            **options: Any,
        ) -> None:
            super().__init__(data_dir, size, config, **options)
            self.sources: Mapping[str, Sequence[EditCase]] = self.cases.sources
            self.mix = options.get("split") != EVAL if mix is None else mix
            self._rng = random.Random(f"batches {options.get('seed', 0)}")

        def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
            """The records of a batch; torch's data loaders ask for them together."""
            if not self.mix:
                return [self[index] for index in indices]
            cases = self.cases.sequence(len(indices), self._rng)
            return [drawn_record(case, self._rng) for case in cases]

    MixedDAFSet.__name__ = MixedDAFSet.__qualname__ = "DAFSetDataset"
    return MixedDAFSet


def _check_locality(batch: Sequence[dict[str, Any]]) -> None:
    without = [str(record["case_id"]) for record in batch if "locality_prompt" not in record]
    if without:
        raise DataError(
            f"case {', '.join(without)}: no locality probe; EasyEdit's trainer needs one "
            "a case (DAFNetTrainer does not)"
        )


def _tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    # As EasyEdit does for causal models.
    tokenizer.pad_token_id, tokenizer.padding_side = tokenizer.eos_token_id, "left"
    return tokenizer
