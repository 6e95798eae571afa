"""What the trash shows, finds, keeps and lets go."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from escale.digest import digest_of
from escale.errors import LocalError
from escale.files.batch import batch_name, batch_time
from escale.files.folder import Cause, Outcome
from escale.files.rules import Rules
from escale.files.trash import SPARED_S
from escale.files.tree import PRIVATE, Kind

from .conftest import OLD_NS, Home, arriving

DAY_S = 24 * 3600.0
START_S = 1_800_000_000.0


class Noon:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.time = START_S

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path, Rules(), 0.0)
    home.clock = Noon()  # type: ignore[assignment]
    home.folder = type(home.folder)(home.root, Rules(), home.ledger, home.clock)
    return home


def delete(home: Home, *paths: str, by: str = "alice") -> None:
    planned = home.hashed()
    results = home.folder.remove([planned[path] for path in paths], by=dict.fromkeys(paths, by))
    assert {result.outcome for result in results} == {Outcome.INSTALLED}


def shown(home: Home) -> list[tuple[str, str]]:
    return [(item.batch, item.path) for item in home.folder.trash.items()]


def paths(home: Home) -> set[str]:
    return {item.path for item in home.folder.trash.items()}


def test_an_item_says_what_it_was_and_who_wanted_it_gone(home: Home) -> None:
    home.write("a/b\udcff", b"mine")
    os.symlink("target", home.full("l"))
    delete(home, "a/b\udcff", "l")
    file, link = sorted(home.folder.trash.items(), key=lambda item: item.path)
    assert (file.path, file.cause, file.client, file.size, file.mtime_ns, file.kind, file.digest) == (
        "a/b\udcff", Cause.DELETED, "alice", 4, OLD_NS, Kind.FILE, digest_of([b"mine"]),
    )  # fmt: skip
    assert file.when == START_S == batch_time(file.batch)
    assert (link.path, link.kind, link.digest) == ("l", Kind.LINK, None)
    with home.folder.trash.open(file) as source:
        assert source.read() == b"mine"
    with pytest.raises(LocalError):
        home.folder.trash.open(link)


def test_what_is_replaced_is_there_with_its_cause(home: Home) -> None:
    home.write("a", b"mine")
    home.receive({"a": b"theirs"}, dict(home.hashed()))
    (item,) = home.folder.trash.items()
    assert (item.path, item.cause, item.client) == ("a", "replaced", "")
    assert home.read("a") == b"theirs"


def test_the_trash_is_for_the_user_alone(home: Home) -> None:
    home.write("closed/a", b"mine")
    os.chmod(home.full("closed"), 0o700)
    delete(home, "closed/a")
    (item,) = home.folder.trash.items()
    for directory in ("trash", f"trash/{item.batch}", f"trash/{item.batch}/closed"):
        assert stat.S_IMODE(os.stat(home.root / PRIVATE / directory).st_mode) == 0o700


def test_a_pass_has_one_batch_and_the_next_another(home: Home) -> None:
    home.write("a")
    home.write("b")
    home.write("c")
    planned = home.hashed()
    home.clock.sleep(1)
    home.folder.remove([planned["a"]])
    home.folder.remove([planned["b"]])
    home.clock.sleep(1)
    delete(home, "c")
    assert shown(home) == [
        (batch_name(START_S), "a"), (batch_name(START_S), "b"), (batch_name(START_S + 2), "c"),
    ]  # fmt: skip


def test_one_path_twice_in_a_pass_and_a_file_where_a_directory_was(home: Home) -> None:
    """GIVEN a pass that removes `a`, `a` again, and then `a/b` WHEN they are in the trash THEN none is written over."""
    batch = batch_name(START_S)
    for content in (b"one", b"two"):
        home.write("a", content)
        delete(home, "a")
    os.makedirs(home.full("a"))
    home.write("a/b", b"three")
    delete(home, "a/b", "a")
    assert shown(home) == [(batch, "a"), (f"{batch}-2", "a"), (f"{batch}-3", "a/b")]
    home.write("a", b"four")
    delete(home, "a")
    assert shown(home)[-1] == (f"{batch}-4", "a")
    contents = [home.folder.trash.open(item).read() for item in home.folder.trash.items()]
    assert contents == [b"one", b"two", b"three", b"four"]


def test_content_is_found_by_its_digest(home: Home) -> None:
    home.write("a", b"mine")
    home.write("unread", b"x")
    home.write("b", b"mine")
    delete(home, "a", "b")
    digest = digest_of([b"mine"])
    item = home.folder.trash.find(digest, 4)
    assert item is not None
    assert item.path in ("a", "b")
    assert home.folder.trash.find(digest, 5) is None
    assert home.folder.trash.find(digest_of([b"x"]), 1) is None
    other = "b" if item.path == "a" else "a"
    os.unlink(home.root / PRIVATE / "trash" / item.batch / item.path)
    found = home.folder.trash.find(digest, 4)
    assert found is not None
    assert found.path == other
    shutil.rmtree(home.root / PRIVATE / "trash")
    assert home.folder.trash.find(digest, 4) is None
    assert [*home.folder.trash.items()] == []


def test_the_tree_is_the_truth_and_the_table_may_be_lost(home: Home, tmp_path: Path) -> None:
    home.write("a", b"mine")
    delete(home, "a")
    home.ledger.forget_kept(home.ledger.kept())
    trash = home.root / PRIVATE / "trash"
    (trash / "by hand").mkdir()
    (trash / "by hand" / "x").write_text("the user's own")
    (trash / "20269999-000000-000000").mkdir()
    (item,) = home.folder.trash.items()
    assert (item.path, item.cause, item.client, item.when, item.digest) == ("a", "", "", START_S, None)
    home.clock.sleep(99 * DAY_S)
    home.folder.scan()
    home.folder.trash.expire(30 * DAY_S, 0, True)
    assert sorted(os.listdir(trash)) == ["20269999-000000-000000", "by hand"]


def test_a_link_in_the_trash_leads_nowhere(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("x")
    home.write("a", b"mine")
    delete(home, "a")
    (item,) = home.folder.trash.items()
    batch = home.root / PRIVATE / "trash" / item.batch
    (batch / "out").symlink_to(outside)
    (home.root / PRIVATE / "trash" / batch_name(5)).symlink_to(outside)
    home.clock.sleep(99 * DAY_S)
    home.folder.scan()
    assert shown(home) == [(item.batch, "a"), (item.batch, "out")]
    home.folder.trash.expire(30 * DAY_S, 0, True)
    assert (outside / "x").read_text() == "x"
    assert not batch.exists()


def test_a_trash_that_is_a_link_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside" / batch_name(5)).mkdir(parents=True)
    os.mkdir(home.full(PRIVATE))
    os.symlink(tmp_path / "outside", home.full(f"{PRIVATE}/trash"))
    with pytest.raises(LocalError, match="symbolic link"):
        [*home.folder.trash.items()]
    with pytest.raises(LocalError, match="symbolic link"):
        home.folder.trash.expire(0, 0, True)
    assert (tmp_path / "outside" / batch_name(5)).exists()


def test_what_is_old_goes_as_a_batch(home: Home) -> None:
    for path in ("a", "b", "c"):
        home.write(path)
        delete(home, path)
        home.clock.sleep(10 * DAY_S)
    home.folder.scan()
    assert home.folder.trash.expire(None, None, False) == 0
    assert paths(home) == {"a", "b", "c"}
    assert home.folder.trash.expire(20 * DAY_S, None, False) == 2
    assert paths(home) == {"c"}
    assert {kept.path for kept in home.ledger.kept()} == {"c"}
    assert home.folder.trash.expire(20 * DAY_S, None, False) == 0


def test_what_the_present_pass_has_taken_stays_whatever_the_limits(home: Home) -> None:
    home.write("a", b"mine")
    delete(home, "a")
    home.clock.sleep(99 * DAY_S)
    assert home.folder.trash.expire(0, 0, True) == 0
    assert paths(home) == {"a"}


def test_above_its_size_the_oldest_goes_but_nothing_of_today(home: Home) -> None:
    for path in ("a", "b", "c"):
        home.write(path, b"x" * 100)
        delete(home, path)
        home.clock.sleep(SPARED_S)
    home.write("young", b"x" * 100)
    delete(home, "young")
    home.clock.sleep(SPARED_S - 1)
    home.folder.scan()
    assert home.folder.trash.expire(None, 400, False) == 0
    assert home.folder.trash.expire(None, 250, False) == 2
    assert paths(home) == {"c", "young"}
    assert home.folder.trash.expire(None, 0, False) == 1
    assert paths(home) == {"young"}


def test_what_the_user_has_taken_back_counts_no_longer(home: Home) -> None:
    for path in ("a", "b"):
        home.write(path, b"x" * 100)
        delete(home, path)
        home.clock.sleep(2 * DAY_S)
    home.folder.scan()
    assert home.folder.trash.expire(None, 200, False) == 0
    item = next(home.folder.trash.items())
    os.rename(home.root / PRIVATE / "trash" / item.batch / item.path, home.full("a"))
    assert home.folder.trash.expire(None, 199, False) == 0
    assert paths(home) == {"b"}


def test_deletions_of_former_passes_can_go_at_once_and_replaced_versions_stay(home: Home) -> None:
    home.write("d/e/deleted")
    home.write("d/replaced", b"mine")
    planned = home.hashed()
    home.receive({"d/replaced": b"theirs"}, dict(planned))
    home.folder.remove([planned["d/e/deleted"]])
    assert home.folder.trash.expire(None, None, True) == 0
    assert paths(home) == {"d/e/deleted", "d/replaced"}
    home.clock.sleep(1)
    home.folder.scan()
    assert home.folder.trash.expire(None, None, True) == 1
    assert paths(home) == {"d/replaced"}
    assert {kept.path for kept in home.ledger.kept()} == {"d/replaced"}
    assert not [*(home.root / PRIVATE / "trash").glob("*/d/e")]
    assert [*(home.root / PRIVATE / "trash").glob("*/d/replaced")]


def test_a_thousand_deletions_are_kept(home: Home) -> None:
    names = {f"d{number % 30}/f{number}" for number in range(1000)}
    for name in names:
        home.write(name, name.encode())
    planned = home.hashed()
    results = home.folder.remove(list(planned.values()))
    assert {result.outcome for result in results} == {Outcome.INSTALLED}
    assert home.folder.scan().entries == {}
    assert {item.path: home.folder.trash.open(item).read() for item in home.folder.trash.items()} == {
        name: name.encode() for name in names
    }


def test_a_version_that_was_settled_says_so(home: Home) -> None:
    import io

    home.write("a", b"mine")
    planned = home.hashed()
    with home.folder.staging() as staging:
        staged = staging.add(arriving("a", b"theirs"), io.BytesIO(b"theirs"))
        home.folder.install([staged], planned, by={"a": "bob"}, cause=Cause.SETTLED)
    (item,) = home.folder.trash.items()
    assert (item.cause, item.client) == ("settled", "bob")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("20261121-140211-000123", 1795269731.000123),
        ("20261121-140211-000123-2", 1795269731.000123),
        ("x", None),
        ("", None),
        ("20261321-140211-000123", None),
    ],
)
def test_a_batch_is_named_by_its_time(name: str, time: float | None) -> None:
    assert batch_time(name) == time
    if time is not None:
        assert batch_name(time) == name[:22]


def test_a_batch_of_any_depth_goes(home: Home) -> None:
    """More levels than the interpreter can recurse, or than anybody can name by a path."""
    home.write("0/file")
    delete(home, "0/file")
    top = home.root / PRIVATE / "trash" / home.folder.trash.present / "0"
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("l" * 10, dir_fd=descriptor)
        below = os.open("l" * 10, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    home.clock.sleep(2 * DAY_S)
    home.folder.trash.begin()
    assert home.folder.trash.expire(DAY_S, None, False) == 1
    assert not top.exists()
    assert shown(home) == []
