"""`python -m bench.checkpoint`: what a checkpoint costs, by memory, CPUs and load."""
