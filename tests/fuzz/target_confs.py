"""Configurations in both spellings, and ignore files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from escale.conf.load import load
from escale.conf.upgrade import plan_upgrade
from escale.files.ignore import Ignore

from .scratch import scratch
from .target import Target

_ROOT = Path(__file__).parent.parent.parent
_PATHS = ("a", "notes.txt", "build/", "src/build/out.o", "é/\udcff", "x" * 255, "a/" * 30 + "b")


def configuration(suffix: str, data: bytes) -> bool:
    """Sentences of a few lines, or a configuration; the upgrade can be planned in either case."""
    path = scratch("conf") / f"test{suffix}"
    path.write_bytes(data)
    path.chmod(0o600)
    loaded = load(path, {"HOME": str(scratch("conf"))})
    assert loaded.config is not None or loaded.problems
    for problem in loaded.problems:
        assert problem.render().count("\n") < 4
    upgrade, _ = plan_upgrade(path)
    assert isinstance(upgrade.diff, str)
    return any(line for line in upgrade.lines)


def ignore_file(data: bytes) -> bool:
    """Patterns, and the lines that are none."""
    ignore = Ignore.parse("", data)
    assert all(1 <= number <= len(ignore.lines) for number in ignore.unreadable_lines)
    for path in _PATHS:
        verdict = ignore.verdict(path)
        assert verdict is None or 1 <= verdict[1] <= len(ignore.lines)
    return ignore.verdict("a.o") is not None


_IGNORE = b"# comment\n*.o\n/build/\n!keep.o\n**/cache/**\nname[0-9]\\ \n*~\r\n\xff*\n"

TARGETS = (
    Target("conf-ini", ((_ROOT / "conf.example").read_bytes(),), partial(configuration, ".conf"), examples=120),
    Target("conf-toml", ((_ROOT / "conf.example.toml").read_bytes(),), partial(configuration, ".toml"), examples=120),
    Target("ignore", (_IGNORE,), ignore_file),
)
