"""Reading files of the folder, and staging what arrives."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from escale.digest import digest_of
from escale.errors import Corrupt, LocalError
from escale.files.rules import Rules
from escale.files.tree import PRIVATE

from .conftest import OLD_NS, Home, arriving


def test_files_that_cannot_be_read_are_told_and_the_others_hashed(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    home.write("a/good", b"x")
    os.symlink("good", home.full("a/link"))
    os.symlink("../outside", home.full("out"))
    os.mkfifo(home.full("pipe"))
    entries, troubles = home.folder.hash(
        ["a/good", "a/link", "a", "gone", "gone/too", "out/secret", "pipe", "a/good/x"]
    )
    assert set(entries) == {"a/good"}
    reasons = {trouble.path: trouble.reason for trouble in troubles}
    assert reasons == {
        "a": "error", "a/good/x": "error", "a/link": "symlink", "gone": "changing", "gone/too": "changing",
        "out/secret": "error", "pipe": "error",
    }  # fmt: skip


def test_a_file_that_changes_while_it_is_read_is_not_believed(home: Home) -> None:
    home.write("a", b"one")
    with home.folder.open("a") as source:
        assert source.is_unchanged()
        home.write("a", b"and more", None)
        assert not source.is_unchanged()


@pytest.mark.parametrize("path", ["link", "out/secret", "inside/x", "directory", "pipe", "gone", "gone/x", "file/x"])
def test_only_regular_files_below_the_folder_can_be_opened(home: Home, tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    home.write("file")
    home.write("directory/x")
    os.symlink("file", home.full("link"))
    os.symlink(tmp_path / "outside", home.full("out"))
    os.symlink("directory", home.full("inside"))
    os.mkfifo(home.full("pipe"))
    with pytest.raises(LocalError):
        home.folder.open(path)


def test_digests_computed_elsewhere_are_learned_if_the_file_is_still_the_same(home: Home) -> None:
    home.write("same", b"one")
    home.write("edited", b"one")
    home.folder.scan()
    same, edited = (arriving(path, b"one", OLD_NS) for path in ("same", "edited"))
    home.write("edited", b"two", OLD_NS + 1)
    home.folder.learn([same, edited, arriving("gone", b"")])
    entries = home.folder.scan().entries
    assert entries["same"].digest == digest_of([b"one"])
    assert entries["edited"].digest is None


def test_a_learned_digest_is_not_trusted_if_the_file_changed_after_the_scan(home: Home) -> None:
    """GIVEN a digest of the content at the time of the scan
    WHEN the file is edited, keeping size and mtime, before the digest is learned
    THEN the next scan wants the content hashed again."""
    home.clock.ahead_s = 0
    home.write("a", b"one", OLD_NS)
    home.folder.scan()
    entry = arriving("a", b"one", OLD_NS)
    home.write("a", b"two", OLD_NS)
    home.folder.learn([entry])
    assert home.folder.scan().entries["a"].digest is None


def test_staging_is_private_and_gone_afterwards(home: Home) -> None:
    with home.folder.staging() as staging:
        staged = staging.add(arriving("a", b"one", OLD_NS, 0o751), io.BytesIO(b"one"))
        status = os.stat(staged.temporary)
        assert (status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode)) == (3, OLD_NS, 0o751)
        assert stat.S_IMODE(os.stat(staging.directory).st_mode) == 0o700
        assert home.folder.scan().entries == {}
    assert os.listdir(home.full(PRIVATE)) == []


def test_a_staged_file_never_gets_special_rights_and_is_always_readable(home: Home) -> None:
    with home.folder.staging() as staging:
        staged = staging.add(arriving("a", b"", mode=0o6222), io.BytesIO(b""))
        assert stat.S_IMODE(os.stat(staged.temporary).st_mode) == 0o622 == staged.entry.mode


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"on", "missing"), (b"ones", "more than"), (b"", "missing"), (b"two", "digest")],
)
def test_content_that_is_not_the_entrys_is_refused_and_leaves_nothing(
    home: Home, content: bytes, complaint: str
) -> None:
    with home.folder.staging() as staging:
        with pytest.raises(Corrupt, match=complaint):
            staging.add(arriving("a", b"one"), io.BytesIO(content))
        assert os.listdir(staging.directory) == []


def test_an_endless_stream_is_cut_at_the_size_of_the_entry(home: Home) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"\0" * size

    stream = Endless()
    with home.folder.staging() as staging, pytest.raises(Corrupt):
        staging.add(arriving("a", b"one"), stream)  # type: ignore[arg-type]
    assert stream.given == 4


def test_a_failing_stream_is_not_blamed_on_the_disk_and_leaves_nothing(home: Home) -> None:
    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("the relay went away")

    with home.folder.staging() as staging:
        with pytest.raises(ConnectionResetError):
            staging.add(arriving("a", b"one"), Failing())  # type: ignore[arg-type]
        assert os.listdir(staging.directory) == []


def test_sweep_removes_what_a_crash_left_and_nothing_in_use(home: Home) -> None:
    home.write(f"{PRIVATE}/staging-0123/1")
    home.write(f"{PRIVATE}/marker")
    with home.folder.staging() as staging:
        staged = staging.add(arriving("a", b"one"), io.BytesIO(b"one"))
        assert home.folder.sweep() == 1
        assert os.path.exists(staged.temporary)
    assert os.listdir(home.root / PRIVATE) == ["marker"]
    assert home.folder.sweep() == 0


def test_sweep_in_a_fresh_folder_has_nothing_to_do(tmp_path: Path) -> None:
    assert Home(tmp_path, Rules(), 0).folder.sweep() == 0


def test_a_private_directory_that_is_a_link_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", home.full(PRIVATE))
    with pytest.raises(LocalError, match="symbolic link"):
        home.folder.staging()
    with pytest.raises(LocalError, match="symbolic link"):
        home.folder.sweep()
