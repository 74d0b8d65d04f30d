"""The agent's HTTP API on a unix socket: what commands and programs ask of a running agent."""
