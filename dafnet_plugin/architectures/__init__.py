"""Base models without their weights: what they are made of, and whether hyper-parameters fit."""
