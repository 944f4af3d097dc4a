"""The auxiliary network of DAFNet in plain PyTorch (paper section 3)."""

from dafnet_plugin.network.config import NetworkConfig
from dafnet_plugin.network.network import AuxiliaryNetwork, NetworkOutput, NetworkState
from dafnet_plugin.network.normaliser import ExactBatchNorm, Standardiser

__all__ = [
    "AuxiliaryNetwork",
    "ExactBatchNorm",
    "NetworkConfig",
    "NetworkOutput",
    "NetworkState",
    "Standardiser",
]
