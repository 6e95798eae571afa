"""The scenes of the demo.  Each does something, waits for passes to carry it through, and compares what it finds with
what it expected.  The first line of its description is its title."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from ..app.wording import duration_text, size_text
from .theatre import SceneFailed, Theatre

BIG_BYTES = 48 * 1024 * 1024
"""Enough to be met in the middle of unpacking."""


def many_files(theatre: Theatre) -> None:
    """alice writes many small files"""
    clock, began, count = theatre.clock, theatre.clock.monotonic(), theatre.options.files
    total = _write_files(theatre, count)
    theatre.say(f"{count} files written", duration_text(clock.monotonic() - began), size_text(total))
    with theatre.clients():
        theatre.loops["alice"].run_once()
        blobs = len(list(theatre.relay.iterdir()))
        sent = size_text(theatre.wire.get("alice", 0))
        theatre.say(f"packed on the relay, {blobs} objects in all", duration_text(clock.monotonic() - began), sent)
        theatre.passes(lambda: theatre.are_equal() and len(theatre.files("bob")) == count and theatre.is_quiet())
        others = " and ".join(theatre.names[1:])
        have = "has" if len(theatre.names) == 2 else "have"
        theatre.say(f"{others} {have} all {count}, contents equal", duration_text(clock.monotonic() - began))
        theatre.say("the relay is empty again, but for its indices", "", size_text(theatre.relay_bytes()))


def _write_files(theatre: Theatre, count: int) -> int:
    total = 0
    for number in range(count):
        path = theatre.place / "alice" / f"folder-{number % 7}" / f"file-{number:05}.txt"
        path.parent.mkdir(exist_ok=True)
        content = theatre.random.randbytes(theatre.random.randrange(500, 6000)).hex().encode()
        path.write_bytes(content)
        total += len(content)
    return total


def both_edit(theatre: Theatre) -> None:
    """alice and bob edit notes.txt before the next pass"""
    with theatre.clients():
        (theatre.place / "alice" / "notes.txt").write_text("the first text\n")
        theatre.passes(theatre.are_equal)
        (theatre.place / "alice" / "notes.txt").write_text("what alice makes of it\n")
        (theatre.place / "bob" / "notes.txt").write_text("what bob makes of it, which is longer\n")
        theatre.passes(theatre.are_equal)
    kept = {path: text for path, text in theatre.files("bob").items() if "notes" in path}
    texts = sorted(kept.values())
    if texts != [b"what alice makes of it\n", b"what bob makes of it, which is longer\n"]:
        raise SceneFailed("both texts, one as notes.txt", f"{', '.join(kept)}: {texts}")
    beside = next(path for path in kept if path != "notes.txt")
    owner = "alice" if kept["notes.txt"].startswith(b"what alice") else "bob"
    theatre.say(f"{owner}'s text kept as notes.txt, the other beside it:", f"  {beside}")


def interrupted(theatre: Theatre) -> None:
    """bob is killed while he receives a big file"""
    with theatre.clients():
        (theatre.place / "alice" / "big.bin").write_bytes(theatre.random.randbytes(BIG_BYTES))
        theatre.loops["alice"].run_once()
    staged = _kill_while_receiving(theatre)
    if "big.bin" in theatre.files("bob"):
        raise SceneFailed("no big.bin at bob's yet", "it had arrived before the kill")
    theatre.say(f"killed after {size_text(staged)} of {size_text(BIG_BYTES)}; no half file in his folder")
    began = theatre.clock.monotonic()
    with theatre.clients():
        theatre.passes(lambda: theatre.are_equal() and theatre.is_quiet())
    theatre.say("started again: he has it, contents equal", duration_text(theatre.clock.monotonic() - began))


def _kill_while_receiving(theatre: Theatre) -> int:
    """Run bob's pass in a process of its own and kill it in the middle; returns the bytes he had by then."""
    words = [sys.executable, "-m", "escale.cli.escale", "-c", str(theatre.conf), "--once", "--json", "bob"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=dict(theatre.environ)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] == "page" and event["direction"] == "down":
                break
        staging = theatre.place / "bob" / ".escale"
        while process.poll() is None:
            staged = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
            if staged >= BIG_BYTES // 4:
                process.kill()
                return staged
            theatre.clock.sleep(0.002)
    raise SceneFailed("bob receives long enough to be killed meanwhile", f"his process ended with {process.returncode}")


def folder_renamed(theatre: Theatre) -> None:
    """alice renames a folder and deletes three files"""
    alice, bob = theatre.place / "alice", theatre.place / "bob"
    (alice / "folder-0").rename(alice / "renamed")
    gone = sorted((alice / "folder-1").iterdir())[:3]
    for path in gone:
        path.unlink()
    before = sum(theatre.wire.values())
    with theatre.clients():
        theatre.passes(lambda: theatre.are_equal() and theatre.is_quiet())
    crossed = sum(theatre.wire.values()) - before
    if (bob / "folder-0").exists() or not (bob / "renamed").is_dir() or crossed:
        raise SceneFailed("the folder renamed, without its content crossing the relay", f"{size_text(crossed)} crossed")
    trash = [path.name for path in (bob / ".escale" / "trash").rglob("*.txt")]
    if not {path.name for path in gone} <= set(trash):
        raise SceneFailed("what was deleted in bob's trash", ", ".join(trash) or "nothing")
    theatre.say("bob's folder is renamed; file data that crossed:", size_text(crossed))
    theatre.say(f"the {len(gone)} files lie in bob's trash:  escale-restore")


def emptied(theatre: Theatre) -> None:
    """alice's folder is emptied by mistake"""
    alice = theatre.place / "alice"
    before = theatre.files("bob")
    for path in alice.iterdir():
        if path.name != ".escale":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with theatre.clients():
        for name in theatre.names:
            theatre.loops[name].run_once()
    if theatre.files("bob") != before:
        raise SceneFailed("nothing deleted at bob's", theatre.found())
    theatre.say(f"held: bob still has all {len(before)}:  escalectl approve")
    words = [sys.executable, "-m", "escale.cli.escalectl", "approve", "-c", str(theatre.conf), "alice", "--refuse"]
    answer = subprocess.run(words, env=dict(theatre.environ), capture_output=True, text=True)
    if answer.returncode:
        raise SceneFailed("the deletion to be refused", answer.stderr)
    with theatre.clients():
        theatre.passes(lambda: theatre.are_equal() and len(theatre.files("alice")) == len(before))
    theatre.say("refused: alice has them all back")


def without_the_key(theatre: Theatre) -> None:
    """the relay is looked at without the key"""
    secret = b"a word that must not be seen"
    with theatre.clients():
        (theatre.place / "alice" / "confidential-plan.txt").write_bytes(secret)
        theatre.loops["alice"].run_once()
        blobs = {path.name: path.read_bytes() for path in theatre.relay.iterdir()}
        theatre.passes(theatre.are_equal)
    for word in (secret, b"confidential", b"alice", b"folder-1", b"notes.txt"):
        seen = [name for name, data in blobs.items() if word in data or word in name.encode()]
        if seen:
            raise SceneFailed("no name and no content of a user's file", f"{word!r} in {seen[0]}")
    theatre.say(f"{len(blobs)} objects: no name and no content is visible")
