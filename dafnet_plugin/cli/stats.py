"""``dafnet stats``: second moments for ROME, MEMIT and their kin, from local text."""

from __future__ import annotations

import argparse

HELP = "Compute the second-moment statistics that ROME, MEMIT and their kin need, from local text."
EXAMPLE = """\
EasyEdit computes them from Wikipedia, which it downloads first; hours for a large model.
Here they come from any text: sentences like those the model was trained on, some
thousands of them at least. The files go to where EasyEdit looks for them, that is to
stats_dir of the method's YAML file, under names with its mom2_dataset and mom2_n_samples.

example:
  dafnet stats hparams/MEMIT/tiny-gpt2.yaml .cache/tiny-world/statements.jsonl
  dafnet stats hparams/ROME/gpt2-xl.yaml wikipedia.txt --samples 20000 --device cuda
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("hparams", help="the method's YAML file, as EasyEdit reads it")
    parser.add_argument(
        "texts",
        nargs="+",
        metavar="TEXT",
        help='.txt with a text a line, or .jsonl of {"text"} or {"prompt", "answer"}',
    )
    parser.add_argument(
        "--samples", type=int, metavar="N", help="texts to draw, instead of mom2_n_samples"
    )
    parser.add_argument("--model", metavar="DIR", help="instead of model_name")
    parser.add_argument("--stats-dir", metavar="DIR", help="instead of stats_dir")
    parser.add_argument(
        "--easyedit",
        choices=("wheel", "git", "both"),
        default="both",
        help="whose file names: the wheel of PyPI, the main branch (%(default)s)",
    )
    parser.add_argument("--device", help="instead of device: cpu, cuda, cuda:1, mps, or a number")
    parser.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="texts of a step (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    parser.add_argument("--force", action="store_true", help="compute what is there already, too")


def run(options: argparse.Namespace) -> int:
    """Compute what is missing, and say where it is."""
    from tqdm import tqdm
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from dafnet_plugin.devices import resolve_device
    from dafnet_plugin.easyedit.second_moments import second_moments
    from dafnet_plugin.easyedit.statistics import (
        VERSIONS,
        StatisticsConfig,
        draw,
        statistics_files,
        write_statistics,
    )
    from dafnet_plugin.errors import ConfigError
    from dafnet_plugin.training.text import read_sentences

    config = StatisticsConfig.read(
        options.hparams,
        {
            "mom2_n_samples": options.samples,
            "model_name": options.model,
            "stats_dir": options.stats_dir,
            "device": options.device,
        },
    )
    if options.batch_size < 1:
        raise ConfigError(f"--batch-size: {options.batch_size}; allowed: at least 1")
    versions = VERSIONS if options.easyedit == "both" else (options.easyedit,)
    files = statistics_files(config, config.model_name, versions)
    wanted = {
        module: paths
        for module, paths in files.items()
        if options.force or not all(path.is_file() for path in paths)
    }
    if wanted:
        samples = config.mom2_n_samples
        texts = draw([text for path in options.texts for text in read_sentences(path)], samples,
                     options.seed)  # fmt: skip
        try:
            model = AutoModelForCausalLM.from_pretrained(config.model_name)
            tokenizer = AutoTokenizer.from_pretrained(config.model_name)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"model_name: {config.model_name!r} cannot be loaded: {error}"
            ) from error
        model = model.to(resolve_device(config.device)).float()
        with tqdm(total=samples, unit="text", desc="second moments", disable=None) as bar:
            found = second_moments(
                model,
                tokenizer,
                list(wanted),
                texts,
                dtype=config.mom2_dtype,
                batch_size=options.batch_size,
                progress=bar.update,
            )
        for module, paths in wanted.items():
            write_statistics(paths, found[module], samples)
    for module, paths in files.items():
        how = f"{found[module].count} tokens" if module in wanted else "as it was left"
        for path in dict.fromkeys(paths):
            print(f"{path}: {how}")
    if options.samples:
        print(f"for EasyEdit to look there: mom2_n_samples: {options.samples} in {options.hparams}")
    return 0
