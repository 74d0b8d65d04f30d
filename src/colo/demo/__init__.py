"""The demonstration: a VM outlives its host, on one machine, in a minute."""
