"""Make EasyEdit import and run for text editing, on CPU and CUDA, whichever version is there.

Two shapes of EasyEdit are known: ``wheel`` (``easyeditor==0.0.1.dev0``, late 2023) and ``git``
(the main branch since 2025, used from a checkout). ``EASYEDIT_HOME`` selects a checkout;
otherwise the ``easyeditor`` that ``sys.path`` leads to is used.

``install()`` puts one finder in front of ``sys.meta_path``. It concerns itself with names below
``easyeditor`` only, and nothing outside ``easyeditor`` is changed: not ``transformers``, not
``torch``, not ``sys.modules``. Every change is listed here, and applied to a module at most once,
when that module is imported.

=================== ======= =========================== =======================================
patch               version file                        what and why
=================== ======= =========================== =======================================
missing-packages    both    every module                an import of a package that is not
                                                        installed (timm, cv2, hydra, ...) gives
                                                        a placeholder; using it raises
                                                        ImportError. EasyEdit imports many
                                                        packages text editing does not need.
missing-names       both    every module                the same for names that today's
                                                        transformers and peft no longer have;
                                                        names that moved are taken from there.
device              both    every f"cuda:{...}"         resolves the device: a number means that
                                                        GPU where there is one, else the CPU;
                                                        anything else is taken as it is.
training-device     both    trainer/*.py, dataset/*.py  the same for ``config.device``.
archive-load        both    trainer/BaseTrainer.py,     ``torch.load`` of EasyEdit's archives:
                            trainer/utils.py,           they pickle a transformers config, so
                            models/mend/mend_main.py,   ``weights_only=False``; and load to the
                            models/serac/serac_main.py, CPU first, so that an archive from a GPU
                            models/malmen/malmen_main   opens anywhere.
                            .py
llama-tokenizer     wheel   editors/editor.py,          ``LlamaTokenizer`` means AutoTokenizer:
                            dataset/*.py                the class of transformers 4 wants
                                                        sentencepiece files that today's
                                                        checkpoints do not have.
tokenizer-class     both    dataset/*.py,               the same where hparams name the class:
                            trainer/models.py,          ``tokenizer_class: LlamaTokenizer``.
                            trainer/algs/SERAC.py
hidden-state        wheel   models/memit/compute_z.py   decoder layers now return a tensor, not
                                                        a tuple.
target-start-token  wheel   models/memit/compute_z.py   no start token before a target, where
                                                        the tokenizer adds one: MEMIT would
                                                        learn to say it.
gpt-names           git     models/alphaedit/           every GPT-2 counts as one, not only a
                            AlphaEdit_main.py,          path with ``gpt2-xl`` in it (NameError).
                            models/SPHERE/SPHERE_main
                            .py, models/simie/simie.py
module-list-slices  wheel   trainer/algs/MEND.py        ``nn.ModuleList`` slices of a model made
                                                        functional by ``higher`` (Llama slices
                                                        its layers in ``forward``).
model-parallel-flag wheel   editors/editor.py           hparams without ``model_parallel``
                                                        (LoRA's) count as not parallel.
lora-parallel       both    models/lora/lora_main.py    no ``model_parallel = True`` on the
                                                        model: GPT-2 then looks for devices it
                                                        was never given.
adalora-steps       both    models/lora/lora_main.py    today's peft demands ``total_step``,
                                                        which EasyEdit never uses.
lora-restore        wheel   editors/editor.py           ``del model.peft_config`` where unload
                                                        has already removed it.
restore             wheel   editors/editor.py           ``weights_copy`` may be a mapping, a
                                                        callable or None, and is restored on the
                                                        parameter's own device.
sequential-edit     wheel   editors/editor.py           ``edit`` and ``edit_requests`` take
                                                        ``sequential_edit`` as git does: True
                                                        accumulates, False restores after each
                                                        edit; not given: as before.
batch-edit          wheel   editors/editor.py           ``batch_edit`` takes locality_inputs,
                                                        portability_inputs, sequential_edit;
                                                        measures "pre" before the edit; returns
                                                        the metrics of all chunks.
model-pair          both    editors/editor.py           ``hparams.model_name`` may be a (model,
                                                        tokenizer) pair; evaluation failed on
                                                        ``.lower()``, pad token and padding side
                                                        were not set. A name of which EasyEdit
                                                        knows no word (gemma, phi, glm; in the
                                                        wheel qwen and mistral, too), or a
                                                        ``dtype``, is loaded for this
                                                        package's methods.
log-files           both    util/globals.py,            writes log and result files only into a
                            editors/utils.py            ``logs`` folder that exists already, and
                                                        adds no handler twice.
root-logger         both    every module                ``logging.basicConfig`` configures the
                                                        logger "easyeditor", not the root.
import-seed         git     editors/*.py                no ``seed_everything(42)`` at import.
=================== ======= =========================== =======================================
"""

from __future__ import annotations

from .handle import EasyEdit, install, load

__all__ = ["EasyEdit", "install", "load"]
