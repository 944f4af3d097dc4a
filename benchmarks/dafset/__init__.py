"""Measurements of building a DAFSet."""
