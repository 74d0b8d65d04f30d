"""Measurements with the laboratory: real QEMU, real clients, ratios of one run."""
