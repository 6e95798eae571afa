"""Synchronisation through a relay: pages, indices, updates, locks."""
