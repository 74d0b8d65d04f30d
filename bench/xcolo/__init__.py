"""Side by side with QEMU's own COLO (x-colo): the same guest, the same load, the same links, in one run."""
