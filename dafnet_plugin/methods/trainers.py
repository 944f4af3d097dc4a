"""Which trainer trains which method."""

from __future__ import annotations

from dafnet_plugin.errors import ConfigError
from dafnet_plugin.training.trainer import DAFNetTrainer


def trainer_class(alg_name: str) -> type[DAFNetTrainer]:
    """The trainer of a method of this package.

    Raises:
        ConfigError: it has none.
    """
    if alg_name == "DAFNET":
        return DAFNetTrainer
    if alg_name == "KE":
        from dafnet_plugin.methods.ke.training import KETrainer

        return KETrainer
    raise ConfigError(f"alg_name: {alg_name!r} is not meta-trained; allowed: 'DAFNET', 'KE'")
