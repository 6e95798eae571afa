"""`escalectl backup prune` and `check`: letting old versions go, and looking whether all is there that others need."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace

from ..app.tidying import plan_tidying, progress_of, tidy
from ..app.vault import Vault
from ..app.wording import Level, Line, counted, size_text
from ..backup.check import Check, Checked, Damage
from ..backup.forget import Forgetting
from ..backup.locks import RepositoryLock, RepositoryLocked, locked
from ..backup.machine import Machine
from ..backup.progress import Progress as Looked
from ..backup.prune import Pruned
from ..backup.repair import Repair
from ..backup.repository import Repository
from ..errors import EscaleError
from ..files.tree import display
from .exit_codes import DECISION, DONE, SKIPPED
from .render import Screen, clock_text, explain, json_line, table
from .session import Session
from .whole import screen_of

PATHS_MAX = 20
"""Paths named for one damage on a screen; --json has all."""


# -- prune


def prune(session: Session, vault: Vault) -> int:
    """Forget what no rule keeps, then let go of what no version needs; 3 if damage forbids it."""
    machine = Machine.this()
    with closing(vault.open()) as repository:
        plan = plan_tidying(vault, repository, machine, session.clock, session.options.host)
        _show_plan(session, vault, plan)
        if session.options.dry_run:
            return DONE
        if plan.is_much and not _is_approved(session, plan):
            return DECISION
        done = _tidied(session, vault, repository, plan, machine)
    record = vault.record()
    vault.remember(replace(record, files_usual=record.files))  # Somebody has looked, and finds it right.
    session.tell(
        Line(Level.INFO, f"{vault.section}: {counted(len(plan.gone), 'version')} forgotten, {len(plan.kept)} kept")
    )
    return _told(session, vault, done)


def _tidied(session: Session, vault: Vault, repository: Repository, plan: Forgetting, machine: Machine) -> Pruned:
    in_use: list[RepositoryLocked] = []
    with screen_of(session) as screen:

        def report(looked: Looked) -> None:
            screen(progress_of(vault.section, "prune", looked))

        done = tidy(
            vault, repository, plan, machine, session.clock, is_approved=True, in_use=in_use.append, report=report
        )
    for error in in_use:
        session.tell(Line(Level.INFO, f"{vault.section}: {error}; what was marked before stays for now"))
    return done


def _is_approved(session: Session, plan: Forgetting) -> bool:
    if session.options.yes:
        return True
    question = f"{len(plan.gone)} of {plan.count} versions would go. Go on? [y/N]:"
    if session.can_ask() and session.ask(question) in ("y", "yes"):
        return True
    session.tell(
        Line(Level.WARNING, f"{len(plan.gone)} of {plan.count} versions would go; --yes says that it is right")
    )
    return False


def _show_plan(session: Session, vault: Vault, plan: Forgetting) -> None:
    if session.options.json:
        for version in plan.gone:
            print(json_line({"type": "forget", "section": vault.section, "id": version.id}), file=session.output)
        for kept_id, reasons in plan.kept.items():
            values = {"type": "keep", "section": vault.section, "id": kept_id, "reasons": list(reasons)}
            print(json_line(values), file=session.output)
    elif session.options.dry_run:
        rows = [("version", "", "why")]
        rows += [(kept_id[:8], "stays", ", ".join(reasons)) for kept_id, reasons in plan.kept.items()]
        rows += [(one.short, "goes", clock_text(one.time_ns / 1e9)) for one in plan.gone]
        print(table(rows), file=session.output)


def _told(session: Session, vault: Vault, done: Pruned) -> int:
    for error in done.damage:
        session.tell(explain(error))
    if done.damage:
        sentence = f"{vault.section}: nothing was deleted, for what cannot be read may need it"
        session.tell(Line(Level.ERROR, f"{sentence}\nescalectl backup check {vault.section}"))
        return SKIPPED
    amounts = {"deleted": done.deleted, "marked": done.marked}
    words = [f"{len(packs)} packs {verb}, {size_text(sum(packs.values()))}" for verb, packs in amounts.items() if packs]
    words += [f"{done.waiting} wait for three days to pass"] if done.waiting else []
    words += [f"{len(done.spared)} spared"] if done.spared else []
    words += [f"{counted(done.swept, 'broken upload')} removed"] if done.swept else []
    session.tell(Line(Level.INFO, f"{vault.section}: {'; '.join(words) or 'nothing to let go of'}"))
    if done.full is not None:
        session.tell(explain(done.full))
    if session.options.json:
        values = {"deleted": sum(done.deleted.values()), "marked": sum(done.marked.values()), "waiting": done.waiting}
        print(json_line({"type": "pruned", "section": vault.section, **values}), file=session.output)
    return done.full.exit_code if done.full is not None else DONE


# -- check


def check(session: Session, vault: Vault, screen: Screen) -> int:
    """Is everything there that versions need; 3 if not.  With --repair, mend it first."""
    machine, options = Machine.this(), session.options
    if options.repair:
        vault.must_delete()
    with closing(vault.open()) as repository:
        done = _checked(session, vault, repository, machine, screen)
        if options.repair and not done.is_sound:
            repaired = Repair(repository, machine, session.clock).run(done.salvage)
            for error in repaired.damage:
                session.tell(explain(error))
            done = _checked(session, vault, repository, machine, screen)
    for damage in done.damage:
        _tell_damage(session, vault, damage)
    for notice in done.notices:
        session.tell(Line(Level.WARNING, f"{vault.section}: {notice} ({notice.code})"))
    read = f", {done.packs_read} packs read ({size_text(done.bytes_read)})" if done.packs_read else ""
    verdict = "all is there" if done.is_sound else f"wrong: {len(done.damage)}"
    amounts = f"{counted(done.versions, 'version')}, {counted(done.packs, 'pack')}"
    session.tell(Line(Level.INFO, f"{vault.section}: {amounts}{read}: {verdict}"))
    if done.salvage:
        advice = f"escalectl backup create {vault.section} stores again what the files here still have of it"
        session.tell(Line(Level.INFO, f"      {advice}; --repair saves what is whole of the rest."))
    return DONE if done.is_sound else SKIPPED


def _checked(session: Session, vault: Vault, repository: Repository, machine: Machine, screen: Screen) -> Checked:
    def report(looked: Looked) -> None:
        screen(progress_of(vault.section, "check", looked))

    with locked(repository, machine, session.clock, exclusive=False) as lock:
        heads = vault.heads(repository, machine, session.clock)
        work = Check(repository, connections=vault.connections, tell=lambda: _renew(lock), report=report)
        return work.run(session.options.read_data / 100, heads)


def _renew(lock: RepositoryLock) -> None:
    with suppress(EscaleError):
        lock.renew()  # Looking harms nobody, with a lock or without.


def _tell_damage(session: Session, vault: Vault, damage: Damage) -> None:
    error = damage.error
    if session.options.json:
        touched = [{"path": one.path, "versions": list(one.versions)} for one in damage.touched]
        values = {"type": "damage", "section": vault.section, "code": error.code, "message": str(error)}
        print(json_line({**values, "touched": touched}), file=session.output)
        return
    lines = [f"  {display(one.path)}  in {', '.join(one.versions)}" for one in damage.touched[:PATHS_MAX]]
    more = len(damage.touched) - PATHS_MAX
    lines += [f"  and {more} more paths; --json names them all"] if more > 0 else []
    print("\n".join([f"{vault.section}: {error} ({error.code})", *lines]), file=session.output)
