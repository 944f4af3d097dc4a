"""Transformer-Patcher (Huang et al., ICLR 2023): one neuron for each mistaken token."""
