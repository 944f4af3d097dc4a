"""Second moments of keys from local text, in the files that ROME, MEMIT and their kin look for.

EasyEdit would download Wikipedia and compute for hours. What the methods need is the mean of
``x x^T`` over the inputs x of the edited modules, for text like that the model was trained on.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from dafnet_plugin.easyedit.second_moments import SecondMoment, second_moments
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import atomic_path

Version = Literal["wheel", "git"]
VERSIONS: tuple[Version, ...] = ("wheel", "git")
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class StatisticsConfig:
    """What a method's YAML file says about its statistics, by EasyEdit's names.

    Attributes:
        layers: that are rewritten; ``rewrite_module_tmps`` with ``{}`` for the layer's number.
        mom2_n_samples: texts to draw; ``mom2_dtype`` of the sums.
        mom2_dataset: only a name here, a part of the path.
    """

    model_name: str
    layers: list[int]
    rewrite_module_tmps: list[str]
    stats_dir: str
    mom2_dataset: str
    mom2_n_samples: int
    mom2_dtype: str
    device: str | int = "cpu"

    @classmethod
    def read(cls, path: str | Path, overrides: Mapping[str, Any]) -> StatisticsConfig:
        """Read the YAML file of any method that needs statistics.

        Args:
            overrides: values that replace the file's; None leaves the file's.

        Raises:
            ConfigError: names every key that is missing or wrong.
        """
        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: {data!r}; allowed: keys with values")
        values = {**data, **{k: v for k, v in overrides.items() if v is not None}}
        # PMET may rewrite several modules of a layer; the others have one template.
        if "rewrite_module_tmps" not in values and "rewrite_module_tmp" in values:
            values["rewrite_module_tmps"] = [values["rewrite_module_tmp"]]
        problems = [
            f"{key}: {values[key]!r}; allowed: {allowed}"
            if key in values
            else f"{key}: missing; allowed: {allowed}"
            for key, (fits, allowed) in _KEYS.items()
            if not fits(values.get(key))
        ]
        if problems:
            raise ConfigError(
                f"{path}: {len(problems)} problem(s); is it of a method that reads statistics, "
                "such as ROME or MEMIT?\n" + "\n".join(f"  - {problem}" for problem in problems)
            )
        known = {*_KEYS, "device"} & values.keys()
        return cls(**{key: values[key] for key in known})


def _is_list_of(kind: type) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, list) and bool(v) and all(type(x) is kind for x in v)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


_KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "model_name": (_is_text, "name or folder of a model"),
    "layers": (_is_list_of(int), "a list of layer numbers"),
    "rewrite_module_tmps": (_is_list_of(str), "module names with {} for the layer"),
    "stats_dir": (_is_text, "a folder"),
    "mom2_dataset": (_is_text, "a name"),
    "mom2_n_samples": (lambda v: type(v) is int and v > 0, "a number of texts, at least 1"),
    "mom2_dtype": (lambda v: v in DTYPES, " or ".join(DTYPES)),
}


def statistics_path(
    stats_dir: str | Path,
    model_name: str,
    module: str,
    *,
    dataset: str,
    samples: int,
    dtype: str,
    version: Version,
) -> Path:
    """Where this version of EasyEdit looks for the second moments of a module's inputs.

    Args:
        model_name: the model's name or path, as it stands in the hyper-parameters.
    """
    name = model_name.replace("/", "_") if version == "wheel" else model_name.rsplit("/")[-1]
    return Path(stats_dir) / name / f"{dataset}_stats" / f"{module}_{dtype}_mom2_{samples}.npz"


def statistics_modules(hparams: Any) -> list[str]:
    """Names of the modules whose statistics a method needs: those it rewrites, layer by layer."""
    # PMET may rewrite several modules of a layer; the others have one template.
    templates = getattr(hparams, "rewrite_module_tmps", None) or [hparams.rewrite_module_tmp]
    return [template.format(layer) for layer in hparams.layers for template in templates]


def statistics_files(
    hparams: Any, model_name: str, versions: Collection[Version] = VERSIONS
) -> dict[str, list[Path]]:
    """The files a method looks for, by module; one for each version of EasyEdit."""
    return {
        module: [
            statistics_path(
                hparams.stats_dir,
                model_name,
                module,
                dataset=hparams.mom2_dataset,
                samples=hparams.mom2_n_samples,
                dtype=hparams.mom2_dtype,
                version=version,
            )
            for version in versions
        ]
        for module in statistics_modules(hparams)
    }


def provide_statistics(
    model: Any,
    tokenizer: Any,
    hparams: Any,
    texts: Sequence[str],
    *,
    version: Version,
    seed: int = 0,
) -> None:
    """Write the files that a method will look for, where they are missing.

    Raises:
        DataError, ModelError: see :func:`draw` and :func:`second_moments`.
    """
    files = statistics_files(hparams, model.config._name_or_path, [version])
    missing = {name: paths for name, paths in files.items() if not paths[0].is_file()}
    if missing:
        drawn = draw(texts, hparams.mom2_n_samples, seed)
        found = second_moments(model, tokenizer, list(missing), drawn, dtype=hparams.mom2_dtype)
        for module, paths in missing.items():
            write_statistics(paths, found[module], hparams.mom2_n_samples)


def draw(texts: Sequence[str], samples: int, seed: int) -> list[str]:
    """Draw texts without replacement.

    Raises:
        DataError: there are fewer.
    """
    if len(texts) < samples:
        raise DataError(
            f"mom2_n_samples: {samples}, but there are only {len(texts)} texts; add text, or lower "
            "it in the YAML file (EasyEdit reads a file with exactly that number only)"
        )
    return random.Random(seed).sample(list(texts), samples)


def write_statistics(paths: Sequence[Path], moment: SecondMoment, samples: int) -> None:
    """Write the same statistics to each of some files, once where the file system can link.

    Args:
        samples: texts they come from; EasyEdit compares it with ``mom2_n_samples``.
    """
    with atomic_path(paths[0]) as temporary, open(temporary, "wb") as file:
        arrays: Mapping[str, Any] = {
            "sample_size": samples,
            "mom2.count": moment.count,
            "mom2.mom2": moment.total.cpu().numpy(),
            "mom2.constructor": "util.runningstats.SecondMoment()",
            "constructor": "util.runningstats.CombinedStat()",
        }
        np.savez(file, **arrays)
    for other in paths[1:]:
        if other == paths[0]:
            continue
        with atomic_path(other) as temporary:
            temporary.unlink()
            try:
                os.link(paths[0], temporary)
            except OSError:
                shutil.copyfile(paths[0], temporary)
