"""`escalectl backup passphrase` and `escalectl backup key`: what opens the repositories of backup sections."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ..app.passphrase import add_passphrase, change_passphrase, remove_keys, sharer
from ..app.vault import Vault
from ..app.wording import Level, Line
from ..backup.keychain import Keychain, Listed
from ..backup.keys import KeyFile
from ..conf.secrets import Origin, Secret
from ..conf.settings import BackupSection
from ..errors import SecretError, UserError
from ..files.tree import display
from .exit_codes import DECISION, DONE, SKIPPED, USAGE, worst
from .render import explain, json_line, table
from .session import Session, WhichSection
from .setup import password_prompt

SHORT = 8
"""Digits of an id that are shown; as many as tell it from the others are taken."""


class WhichKey(UserError):
    """what is to be done with the keys? one of: {known}"""

    code = "C110"
    exit_code = USAGE
    advice = "escalectl backup --help explains them"


class Unfit(SecretError):
    """that is no passphrase: {reason}"""

    code = "K233"
    exit_code = USAGE
    advice = "Nothing was changed."


def passphrase(session: Session, words: Sequence[str]) -> int:
    """`escalectl backup passphrase SECTION`: another one in the place of the one that the section has."""
    section = _one(session, words)
    vault = session.vault(section)
    vault.password()
    shared_with = sharer(session.setup().config, section)
    changed = change_passphrase(vault, section.passphrase, shared_with, _new(session, vault), session.clock)
    if changed.kept:
        session.tell(Line(Level.WARNING, _what_is_left(section, changed.key, changed.kept, changed.former)))
        return DECISION
    if changed.place is None:
        session.tell(Line(Level.INFO, f"{section.name}: only the new passphrase opens the repository\n{_COPY}"))
        return DONE
    former = f"the former one opens nothing any more, and is in {display(str(changed.before))}"
    text = f"the new passphrase is in {display(str(changed.place))}; {former}\n{_COPY}"
    session.tell(Line(Level.INFO, f"{section.name}: {text}"))
    return DONE


_COPY = "Put a copy of the new one where the copy of the old one is. Other machines that save there need it, too."


def _what_is_left(section: BackupSection, key: str, kept: str, former: Sequence[str]) -> str:
    ids = " ".join(name[:SHORT] for name in former)
    return (
        f"{section.name}: the new passphrase opens the repository (key {key[:SHORT]}), and so does the old,"
        f" for {display(kept)}\nPut the new one in its place, there and on the other machines of this store, then:"
        f"\n    escalectl backup key remove {section.name} {ids}"
    )


def key(session: Session, words: Sequence[str]) -> int:
    """`escalectl backup key list | add | remove`."""
    verb = words[0] if words else ""
    if verb not in _VERBS:
        raise WhichKey(known=", ".join(_VERBS))
    return _VERBS[verb](session, words[1:])


def _list(session: Session, words: Sequence[str]) -> int:
    """Which there are, and which of them the passphrase of the section opens."""
    rows: list[tuple[str, ...]] = [("section", "key", "created", "user", "host", "")]
    codes = [DONE]
    for section in session.setup().chosen_backups(words):
        found, ours = _keys_of(session.vault(section))
        for one in found:
            if one.file is not None:
                rows.append(_row(section.name, one.name, one.file, one.name in ours))
            elif one.error is not None:
                session.tell(explain(one.error))
                codes.append(SKIPPED)
            if session.options.json and one.file is not None:
                print(json_line(_object(section.name, one.name, one.file, one.name in ours)), file=session.output)
    if not session.options.json:
        print(table(rows), file=session.output)
    return worst(codes)


def _keys_of(vault: Vault) -> tuple[list[Listed], frozenset[str]]:
    """All, and the names of those that the passphrase opens."""
    repository = vault.open()
    try:
        keychain = Keychain(repository)
        return list(keychain.all()), keychain.opened_by(vault.password())
    finally:
        repository.close()


def _row(section: str, name: str, file: KeyFile, is_ours: bool) -> tuple[str, ...]:
    texts = map(display, (file.created, file.username, file.hostname))
    return (section, name[:SHORT], *texts, "opens with the passphrase of the section" if is_ours else "")


def _object(section: str, name: str, file: KeyFile, is_ours: bool) -> dict[str, object]:
    made = {"created": file.created, "user": file.username, "host": file.hostname}
    return {"type": "key", "section": section, "id": name, **made, "ours": is_ours}


def _add(session: Session, words: Sequence[str]) -> int:
    """One more passphrase."""
    section = _one(session, words)
    vault = session.vault(section)
    vault.password()
    name = add_passphrase(vault, _new(session, vault), session.clock)
    session.tell(Line(Level.INFO, f"{section.name}: key {name[:SHORT]}: the new passphrase opens the repository, too"))
    return DONE


def _remove(session: Session, words: Sequence[str]) -> int:
    """Key files by their ids."""
    if len(words) < 2:
        raise WhichKey(known="remove SECTION ID ...")
    section = _one(session, words[:1])
    names = remove_keys(session.vault(section), words[1:], session.clock)
    removed = ", ".join(name[:SHORT] for name in names)
    session.tell(Line(Level.INFO, f"{section.name}: removed {removed}; whoever had its passphrase may have kept more"))
    return DONE


_VERBS: dict[str, Callable[[Session, Sequence[str]], int]] = {"list": _list, "add": _add, "remove": _remove}


def _one(session: Session, words: Sequence[str]) -> BackupSection:
    """The section that is named, or the only one there is."""
    chosen = session.setup().chosen_backups(words)
    if len(chosen) != 1:
        raise WhichSection(known=", ".join(section.name for section in chosen))
    return chosen[0]


def _new(session: Session, vault: Vault) -> str:
    """From the file that was named; else it is typed twice."""
    if session.options.new:
        place = os.path.abspath(os.path.expanduser(session.options.new))
        found = Secret(Origin.FILE, place).reveal(session.environ, None)
    else:
        ask = password_prompt()
        found = Secret(Origin.ASK, f"new passphrase of {vault.section}").reveal(session.environ, ask)
        if Secret(Origin.ASK, "once more").reveal(session.environ, ask) != found:
            raise Unfit(reason="you typed two different ones")
    if found.strip() != found:
        raise Unfit(reason="it begins or ends with a blank, which restic would leave out")
    return found
