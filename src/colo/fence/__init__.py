"""Stopping a VM of this host for certain."""

from colo.fence.self_fence import FenceReport, SelfFence, Step

__all__ = ["FenceReport", "SelfFence", "Step"]
