"""All targets by name."""

from __future__ import annotations

from . import (
    target_archives,
    target_backup,
    target_confs,
    target_formats,
    target_ledgers,
    target_listings,
    target_seals,
    target_talk,
)
from .target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (
        target_formats,
        target_archives,
        target_seals,
        target_listings,
        target_ledgers,
        target_confs,
        target_talk,
        target_backup,
    )
    for target in module.TARGETS
}
