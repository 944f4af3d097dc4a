"""Edit cases from published data sets, from ParaRel and from the embedded tiny world.

Importing this package loads neither PyTorch nor ``transformers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.records import Records
from dafnet_plugin.errors import DataError, did_you_mean

Loader = Callable[..., Records[EditCase]]

_LOADERS = {
    "zsre": "dafnet_plugin.data.zsre:load_zsre",
    "counterfact": "dafnet_plugin.data.counterfact:load_counterfact",
    "ripple": "dafnet_plugin.data.ripple:load_ripple",
    "knowedit": "dafnet_plugin.data.knowedit:load_knowedit",
    "uniedit": "dafnet_plugin.data.uniedit:load_uniedit",
    "dafset": "dafnet_plugin.data.dafset:load_dafset",
    "tinyworld": "dafnet_plugin.data.tinyworld.build:load_tinyworld",
    "pararel": "dafnet_plugin.data.pararel:load_pararel",
    "cases": "dafnet_plugin.data.case_files:load_cases",
}


class _Registry(Mapping[str, Loader]):
    """Loaders by name, imported when asked for."""

    def __getitem__(self, name: str) -> Loader:
        if name not in _LOADERS:
            raise KeyError(name)
        module, _, function = _LOADERS[name].partition(":")
        loader: Loader = getattr(import_module(module), function)
        return loader

    def __iter__(self) -> Iterator[str]:
        return iter(_LOADERS)

    def __len__(self) -> int:
        return len(_LOADERS)


LOADERS: Mapping[str, Loader] = _Registry()


def get_loader(name: str) -> Loader:
    """Return the loader of a format: ``load(path, *, size=None, skip_bad=False)``.

    With ``skip_bad`` malformed records are left out; ``problems`` of the result says of each
    which one it was and why.

    Raises:
        DataError: no such format; names those that exist.
    """
    if name not in LOADERS:
        raise DataError(
            f"data format {name!r} is unknown{did_you_mean(name, LOADERS)}; "
            f"known: {', '.join(LOADERS)}"
        )
    return LOADERS[name]


__all__ = ["LOADERS", "Loader", "Records", "get_loader"]
