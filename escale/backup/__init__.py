"""Versions: a repository in restic's format 2 on any store, what is saved into it and what comes back."""
