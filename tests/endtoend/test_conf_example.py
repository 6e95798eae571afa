"""What a newcomer does first: the example as it stands, and the demonstration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .folders import contents, write
from .places import directory_place
from .program import REPOSITORY, environment


def test_the_example_runs_as_it_stands(tmp_path, group):
    """GIVEN conf.example in an empty folder, THEN files travel between its two clients until TERM."""
    program = group(directory_place(tmp_path / "unused")).client("newcomer")
    empty = tmp_path / "empty"
    empty.mkdir()
    program.configuration = shutil.copy(REPOSITORY / "conf.example", empty)
    alice, bob = empty / "demo-alice", empty / "demo-bob"
    program.start()
    program.until(lambda: alice.is_dir() and bob.is_dir())
    write(alice, "notes.txt", b"from alice")
    program.until(lambda: (bob / "notes.txt").exists())
    write(bob, "deep/er.txt", b"from bob")
    program.until(lambda: (alice / "deep/er.txt").exists())
    ended = program.stop().expect(0)
    assert contents(alice) == contents(bob) == {b"notes.txt": b"from alice", b"deep/er.txt": b"from bob"}
    assert ended.stdout == "" and "escale: " not in ended.stderr


def test_the_demonstration_succeeds(tmp_path, group):
    program = group(directory_place(tmp_path / "unused")).client("newcomer")
    ended = program.run("demo", "--files", 50, "--dir", tmp_path).expect(0)
    assert ended.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["newcomer", "newcomer-home", "unused"]


def test_help_is_there_at_once(tmp_path):
    """Without the libraries of the storages: a fresh interpreter must not have to load them."""
    heavy = ("boto3", "paramiko", "fsspec", "httpx", "cryptography", "nacl", "zstandard", "rich")
    code = (
        "import sys; sys.argv = ['escale', '--help']\n"
        "from escale.cli.escale import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print('loaded:', [name for name in {heavy!r} if name in sys.modules])\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(tmp_path))
    assert shown.returncode == 0, shown.stderr
    assert "usage: escale" in shown.stdout and shown.stdout.endswith("loaded: []\n")


def test_the_installed_commands_are_ours():
    """The name on the package index belongs to another program; it must not shadow this one."""
    command = Path(sys.executable).with_name("escale")
    if not os.access(command, os.X_OK):
        pytest.skip("NOT TESTED: the program is not installed beside this interpreter")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert not shown.stdout.startswith("escale 0.7")
