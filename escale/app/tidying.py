"""Tidying: versions that no rule keeps go, and then what no version needs any more."""

from __future__ import annotations

from collections.abc import Callable

from ..backup.forget import Forgetting, forget, plan_forget, trusted
from ..backup.locks import RepositoryLocked, locked
from ..backup.machine import Machine
from ..backup.progress import Progress as Looked
from ..backup.progress import Report, silent
from ..backup.prune import Prune, Pruned
from ..backup.repository import Repository
from ..backup.versions import Versions
from ..clock import Clock
from ..events import Progress
from .vault import Vault


def plan_tidying(
    vault: Vault, repository: Repository, machine: Machine, clock: Clock, hostname: str = ""
) -> Forgetting:
    """Which versions of the section would go; those of other machines and other paths are not looked at.

    `hostname`: those of this other machine instead, whatever their paths.  MayNotDelete.
    """
    vault.must_delete()
    versions = Versions(repository).all()
    if hostname:
        versions = [version for version in versions if version.hostname == hostname]
    else:
        versions = [version for version in versions if vault.is_of_section(version, machine)]
    return plan_forget(versions, vault.keep, trusted(repository, versions, vault.heads(repository, machine, clock)))


def tidy(
    vault: Vault,
    repository: Repository,
    plan: Forgetting,
    machine: Machine,
    clock: Clock,
    *,
    is_approved: bool,
    in_use: Callable[[RepositoryLocked], None] = lambda error: None,
    report: Report = silent,
) -> Pruned:
    """Carry the plan out; TooManyVersions if it takes much and nobody approved.

    What was marked some time ago goes only while nobody else is at work; `in_use` is told if somebody is.
    """
    work = Prune(repository, machine, clock, connections=vault.connections, report=report)
    with locked(repository, machine, clock, exclusive=False) as lock:
        forget(repository, plan, vault.heads(repository, machine, clock), is_approved=is_approved)
        done = work.mark(lock)
    try:
        return done if done.damage else work.sweep()
    except RepositoryLocked as error:
        in_use(error)
        return done


def progress_of(section: str, direction: str, looked: Looked) -> Progress:
    """How far pruning or checking is, as an event; a page is what is counted now."""
    amounts = (looked.files_done, looked.files_known, looked.bytes_done, looked.bytes_known)
    return Progress(section, direction, looked.noun, *amounts)
