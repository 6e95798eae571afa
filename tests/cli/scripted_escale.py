"""The real command with a scripted engine: `python -m tests.cli.scripted_escale ARGUMENTS`.

The local path of each section says what its engine does, by the name of the folder.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace

from escale.app.status import Need, PassResult, PendingFile, Reason, SectionState
from escale.cli.escale import run_command
from escale.errors import NoRelaySpace, SecretError, Unreachable
from escale.events import Conflicted, Item, PageBegan, PageEnded, Progress, Skipped, Waiting
from tests.app.scripted import ScriptedLoop


def moves(loop):
    loop.report(PageBegan(loop.name, "up", "2024", 1903, 1 << 30))
    loop.report(Progress(loop.name, "up", "2024", 412, 1903, 1 << 28, 1 << 30))
    loop.report(PageEnded(loop.name, "up", "2024", 1903, 1 << 30, 1 << 29, 422.0))
    loop.report(PageEnded(loop.name, "down", "2024", 12, 8 << 20, 8 << 20, 3.0))
    return PassResult(up_files=1903, down_files=12)


def skips(loop):
    loop.report(Skipped(loop.name, "caf\udce9.sqlite", "permission", "L101", "it cannot be read"))
    return PassResult(skipped=1, exit_code=3)


def unreachable(loop):
    raise Unreachable(where="sftp://relay", reason="no answer")


def refused(loop):
    raise SecretError(what="the relay refused user 'jane'")


def full(loop):
    raise NoRelaySpace(where="s3://bucket", reason="1.97 of 2.00 GB")


def breaks(loop):
    raise ZeroDivisionError("unforeseen")


def hangs(loop):
    loop.report(PageBegan(loop.name, "up", "2024", 1, 1))
    threading.Event().wait(60)
    return PassResult()


SCRIPTS = {
    "moves": moves,
    "skips": skips,
    "unreachable": unreachable,
    "refused": refused,
    "full": full,
    "breaks": breaks,
    "hangs": hangs,
    "quiet": lambda loop: PassResult(),
    "waits": lambda loop: PassResult(),
}


class Loop(ScriptedLoop):
    """With something to preview and something that waits."""

    def pending(self):
        if self.script != "waits":
            return []
        return [
            PendingFile("raw/IMG 1.CR3", "2024", Reason.QUOTA, 1700000000.0, 31 << 20, "waiting for nas"),
            PendingFile("caf\udce9\n", "2024", Reason.CHANGING, None, 5),
        ]

    def status(self):
        known = super().status()
        if self.script == "waits" and self.passes:
            return replace(known, state=SectionState.WAITING)
        if self.script == "skips" and self.passes:
            return replace(known, needs=(Need("1 file cannot be read", "escalectl pending skips"),))
        return known

    def preview(self):
        if os.environ.get("SCRIPTED_PREVIEW") == "breaks":
            raise ZeroDivisionError("unforeseen")
        if self.script == "quiet":
            return []
        return [
            Item(self.name, "up", "new", "plan.odt", 48211),
            Conflicted(self.name, "todo.txt", "todo.txt", "todo.conflict-nas.txt"),
            Skipped(self.name, "live.sqlite", "changing", "L203", "written 2 s ago"),
            Waiting(self.name, "2023", "peer", 3, 100, "waiting for nas"),
        ]


def build(config, section, environ, clock, reporter):
    script = os.path.basename(str(section.local_path))
    loop = Loop(section.name, [SCRIPTS[script]], clock, reporter, wait_s=3600.0)
    loop.script = script
    return loop


if __name__ == "__main__":
    code = run_command(sys.argv[1:], os.environ, build)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
