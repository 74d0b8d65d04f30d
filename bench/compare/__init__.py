"""QEMU's `colo-compare` object and ours, fed the same frames over the same kind of socket."""
