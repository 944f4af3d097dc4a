"""Edit cases as a data set that EasyEdit's own trainer and editors accept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dafnet_plugin.cases import EditCase, read_cases
from dafnet_plugin.errors import DataError


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


def case_dataset_class(zsre_dataset: type) -> type:
    """Return a data set class for case files, built on the installed EasyEdit's ZsRE class.

    The class is constructed as EasyEdit's are, ``(path, size=None, config=None)``; batches are
    put together by EasyEdit's code.
    """

    class CaseDataset(zsre_dataset):
        """Edit cases from a ``.jsonl`` file of :mod:`dafnet_plugin.cases`."""

        def __init__(
            self, data_dir: str, size: int | None = None, config: Any = None, *_: Any, **__: Any
        ) -> None:
            self.config, self.max_length = config, getattr(config, "max_length", 40)
            name = getattr(config, "tokenizer_name", None) or getattr(config, "model_name", None)
            if isinstance(name, str):
                self.tok = _tokenizer(name)
            self._data = [easyedit_record(case) for case in read_cases(data_dir)[:size]]

        def collate_gpt_fn(self, batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
            """EasyEdit's batch of some records.

            Raises:
                DataError: a record has no locality probe, which EasyEdit's loss needs.
            """
            without = [
                str(record["case_id"]) for record in batch if "locality_prompt" not in record
            ]
            if without:
                raise DataError(
                    f"case {', '.join(without)}: no locality probe; EasyEdit's trainer needs one "
                    "a case (DAFNetTrainer does not)"
                )
            result: dict[str, Any] = super().collate_gpt_fn(batch)
            return result

    return CaseDataset


def _tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    # As EasyEdit does for causal models.
    tokenizer.pad_token_id, tokenizer.padding_side = tokenizer.eos_token_id, "left"
    return tokenizer
