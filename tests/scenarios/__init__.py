"""Histories known to break synchronizers, each by its number and played from the command line."""
