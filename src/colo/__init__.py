"""Fault tolerance for virtual machines, from outside, on stock QEMU."""

__version__ = "0.1.0"
