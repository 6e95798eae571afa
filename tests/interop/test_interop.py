"""Stories of two clients on one relay of format 0.7, one of them the original; two originals prove the stage.

Most are told as store and forward: one client on line, then the other.  That is what a relay is for, and it is fast:
the original looks at a taken lock only once a minute, so two clients on line at once may lose minutes to each other.
One story has everybody on line all the time.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .client import Client, is_quiet, until, waiting
from .conftest import Stage

START = 1_700_000_000

FILES = {
    "a.txt": "one",
    "empty": "",
    "sub/deep/b.txt": "two",
    "sub/c.bin": "\0" * 70_000,
    "sp ace/é/ü.txt": "three",
    " lead and : colon % 12 34": "four",
}
EDITS = {"a.txt": "one, edited at the far end", "sub/d.txt": "new at the far end"}
REPLIES = {"a.txt": "one, edited again", "sub/deep/b.txt": "two, edited", "new/e.txt": "new"}

PAGES = {"1": [{"0"}, {"0"}, {"0"}], "topdir": [{"0", "sub", "sp ace"}, {"0", "sub"}, {"0", "sub", "new"}]}

MakeStage = Callable[..., Stage]


def there_and_back(near: Client, far: Client, index: str) -> None:
    """GIVEN files at the near end WHEN it sends, the far end receives, edits and sends, and the near end replies
    THEN after each step both folders are equal and the relay holds indices only."""
    steps = [(near, far, FILES), (far, near, EDITS), (near, far, REPLIES)]
    for number, (sender, receiver, files) in enumerate(steps):
        sender.write(files, START + 1000 * number)
        _carry(sender, receiver, PAGES[index][number])


def _carry(sender: Client, receiver: Client, pages: set[str]) -> None:
    relay = sender.relay
    sender.run_until("upload", lambda: waiting(relay) == pages)
    receiver.run_until("download", lambda: receiver.files() == sender.files() and is_quiet(relay))


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "fernet"])
@pytest.mark.parametrize("index", ["1", "topdir"])
def test_two_originals(stage: MakeStage, index: str, is_encrypted: bool) -> None:
    here = stage(index, is_encrypted)
    there_and_back(here.original("alice"), here.original("bob"), index)


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "fernet"])
@pytest.mark.parametrize("index", ["1", "topdir"])
def test_the_original_begins(stage: MakeStage, index: str, is_encrypted: bool) -> None:
    here = stage(index, is_encrypted)
    there_and_back(here.original("alice"), here.ours("bob"), index)


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "fernet"])
@pytest.mark.parametrize("index", ["1", "topdir"])
def test_ours_begins(stage: MakeStage, index: str, is_encrypted: bool) -> None:
    here = stage(index, is_encrypted)
    there_and_back(here.ours("alice"), here.original("bob"), index)


def test_everybody_on_line(stage: MakeStage) -> None:
    """GIVEN two relays, one from the original to ours, one from ours to the original, everybody running
    WHEN files appear at the senders, and again later THEN they arrive, and nobody stops."""
    forth, back = stage("topdir"), stage("topdir")
    pairs: list[tuple[Client, Client]] = [
        (forth.original("alice"), forth.ours("bob")),
        (back.ours("carol"), back.original("dave")),
    ]
    everybody = [client for pair in pairs for client in pair]
    for sender, receiver in pairs:
        sender.write(FILES, START)
        sender.start("upload")
        receiver.start("download")
    for number, files in enumerate([EDITS, REPLIES], 1):
        until(lambda: all(sender.files() == receiver.files() for sender, receiver in pairs), *everybody)
        for sender, _ in pairs:
            sender.write(files, START + 1000 * number)
    until(lambda: all(sender.files() == receiver.files() for sender, receiver in pairs), *everybody)
    assert all(client.is_running for client in everybody)
