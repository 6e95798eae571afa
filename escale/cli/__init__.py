"""The commands: the only readers of argv and environment."""
