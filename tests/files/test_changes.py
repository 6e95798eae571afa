"""All changes of a folder, in every direction between kinds, and a death at every step of them."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from escale.files import exchange as exchanging
from escale.files.folder import Installed, Outcome
from escale.files.rules import Rules
from escale.files.tree import PRIVATE, Entry, Kind, path_bytes
from escale.testing.disk import CrashAt, DiskHook
from escale.testing.faults import Crash

from .conftest import OLD_NS, Home, arriving

MINE = b"what the user has"
THEIRS = b"what arrives"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a file system: thousands of changes, each of them made durable, take their time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as made:
        yield Path(made)


@pytest.fixture(params=["all", "links", "neither"])
def abilities(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system can do: exchange and link; only link, as on macOS and NFS; neither, as FAT."""

    def no_link(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if request.param != "all":
        monkeypatch.setattr(exchanging, "renameat2", lambda: None)
    if request.param == "neither":
        monkeypatch.setattr(os, "link", no_link)
    return str(request.param)


def put(home: Home, kind: Kind, path: str = "a") -> None:
    """The user makes something."""
    if kind is Kind.FILE:
        home.write(path, MINE)
    elif kind is Kind.LINK:
        os.symlink("mine/target", home.full(path))
    elif kind is Kind.DIRECTORY:
        os.mkdir(home.full(path), 0o755)


def wanted(kind: Kind, path: str = "a") -> Entry:
    if kind is Kind.LINK:
        return Entry.link(path, "/their/target", OLD_NS)
    return Entry.directory(path, 0o750) if kind is Kind.DIRECTORY else arriving(path, THEIRS)


def bring(home: Home, entry: Entry, expected: Entry | None, aside: str | None = None) -> Installed:
    """What a pass does for one path."""
    planned, keep = {entry.path: expected}, {entry.path: aside} if aside else {}
    if entry.kind is Kind.GONE:
        assert expected is not None
        return home.folder.remove([expected], by={entry.path: "alice"})[0]
    if entry.kind is Kind.DIRECTORY:
        return home.folder.make([entry], planned, keep, by={entry.path: "alice"})[0]
    with home.folder.staging() as staging:
        is_link = entry.kind is Kind.LINK
        staged = staging.add_link(entry) if is_link else staging.add(entry, io.BytesIO(THEIRS))
        return home.folder.install([staged], planned, keep, by={entry.path: "alice"})[0]


def kind_at(home: Home, path: str = "a") -> Kind:
    try:
        mode = os.lstat(home.full(path)).st_mode
    except FileNotFoundError:
        return Kind.GONE
    return {stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK, stat.S_IFDIR: Kind.DIRECTORY}[stat.S_IFMT(mode)]


def holds(home: Home) -> set[bytes]:
    """Every content and every link's target anywhere in the folder, the trash included, staging not."""
    found = set()
    for directory, directories, names in os.walk(home.root):
        directories[:] = [name for name in directories if not name.startswith("staging-")]
        for name in (*names, *directories):
            full = os.path.join(directory, name)
            if os.path.islink(full):
                found.add(os.fsencode(os.readlink(full)))
            elif os.path.isfile(full):
                found.add(Path(full).read_bytes())
    return found


OF_MINE = {Kind.FILE: {MINE}, Kind.LINK: {b"mine/target"}, Kind.DIRECTORY: set[bytes](), Kind.GONE: set[bytes]()}
DIRECTIONS = [(before, after) for before in Kind for after in Kind if (before, after) != (Kind.GONE, Kind.GONE)]


@pytest.mark.parametrize(("before", "after"), DIRECTIONS)
def test_every_kind_takes_the_place_of_every_other(home: Home, before: Kind, after: Kind, abilities: str) -> None:
    """GIVEN a path of one kind WHEN it becomes another elsewhere THEN it does so here, and the old one is kept."""
    put(home, before)
    expected = home.hashed().get("a")
    entry = Entry.gone("a") if after is Kind.GONE else wanted(after)
    result = bring(home, entry, expected)
    assert (result.outcome, result.kept_as) == (Outcome.INSTALLED, None)
    assert kind_at(home) is after
    if after is not Kind.GONE:
        assert home.hashed()["a"] == result.entry == entry
    items = [*home.folder.trash.items()]
    is_kept = before in (Kind.FILE, Kind.LINK)
    cause = "deleted" if after is Kind.GONE else "replaced"
    assert [(item.path, item.kind, item.cause, item.client) for item in items] == (
        [("a", before, cause, "alice")] if is_kept else []
    )
    assert holds(home) >= OF_MINE[before]


@pytest.mark.parametrize(("before", "after"), [it for it in DIRECTIONS if Kind.GONE not in it])
def test_every_kind_can_be_put_aside(home: Home, before: Kind, after: Kind, abilities: str) -> None:
    put(home, before)
    if before is Kind.DIRECTORY:
        if after is Kind.DIRECTORY:
            return  # The directory that is there will do.
        home.write("a/unsynchronised.tmp", MINE)
    put(home, Kind.FILE, "a.mine")
    expected = home.hashed()["a"]
    result = bring(home, wanted(after), expected, "a.mine")
    assert (result.outcome, result.kept_as) == (Outcome.INSTALLED, "a 2.mine")
    assert kind_at(home) is after
    assert kind_at(home, "a 2.mine") is before
    assert not [*home.folder.trash.items()]


@pytest.mark.parametrize("after", [Kind.FILE, Kind.LINK, Kind.GONE])
def test_a_directory_with_files_that_nobody_knows_stays(home: Home, after: Kind) -> None:
    put(home, Kind.DIRECTORY)
    expected = home.hashed()["a"]
    home.write("a/unsynchronised", MINE)
    result = bring(home, Entry.gone("a") if after is Kind.GONE else wanted(after), expected)
    assert (result.outcome, result.reason) == (Outcome.CHANGED, "it holds files that are not synchronised")
    assert home.read("a/unsynchronised") == MINE


@pytest.mark.parametrize(("before", "after"), DIRECTIONS)
def test_what_is_not_as_expected_stays(home: Home, before: Kind, after: Kind) -> None:
    """GIVEN a path WHEN the user makes it something else after the scan THEN that stays where it is."""
    put(home, before)
    expected = home.hashed().get("a")
    others = [kind for kind in (Kind.FILE, Kind.LINK, Kind.DIRECTORY) if kind is not before]
    for now in others:
        if before is Kind.DIRECTORY:
            os.rmdir(home.full("a"))
        elif before is not Kind.GONE:
            os.unlink(home.full("a"))
        put(home, now)
        is_welcome = now is after is Kind.DIRECTORY
        if expected is not None or after is not Kind.GONE:
            result = bring(home, Entry.gone("a") if after is Kind.GONE else wanted(after), expected)
            assert (result.outcome is Outcome.INSTALLED) == is_welcome, result
        assert kind_at(home) is now
        assert not [*home.folder.trash.items()]
        before = now


@pytest.mark.parametrize("after", list(Kind))
def test_a_changed_target_is_noticed(home: Home, after: Kind) -> None:
    put(home, Kind.LINK)
    expected = home.hashed()["a"]
    os.unlink(home.full("a"))
    os.symlink("mine/changed", home.full("a"))
    result = bring(home, Entry.gone("a") if after is Kind.GONE else wanted(after), expected)
    assert result.outcome is Outcome.CHANGED
    assert os.readlink(home.full("a")) == b"mine/changed"


@pytest.mark.parametrize(("before", "after"), DIRECTIONS)
@pytest.mark.parametrize("aside", [None, "a.mine"])
def test_a_death_at_every_step_loses_nothing(
    tmp_path: Path, before: Kind, after: Kind, aside: str | None, abilities: str
) -> None:
    """GIVEN a change that dies ahead of any of its steps
    WHEN the next run sweeps and plans anew
    THEN what the user had is in the folder or in the trash at any time, and the change is made in the end."""
    for number in range(60):
        (tmp_path / str(number)).mkdir()
        home = Home(tmp_path / str(number), Rules(), 0.0, Path(":memory:"))
        put(home, before)
        entry = Entry.gone("a") if after is Kind.GONE else wanted(after)
        expected = home.hashed().get("a")
        try:
            with DiskHook(CrashAt(number)):
                bring(home, entry, expected, aside)
            break
        except Crash:
            assert holds(home) >= OF_MINE[before], number
            if abilities == "all" and before is not Kind.DIRECTORY:
                assert kind_at(home) in (before, after), number
            home.folder.sweep()
            now = home.hashed().get("a")
            if now is not None or after is not Kind.GONE:
                assert bring(home, entry, now, aside).outcome is Outcome.INSTALLED
            assert kind_at(home) is after
            assert holds(home) >= OF_MINE[before], number
            assert not [*(home.root / PRIVATE).glob("staging-*")]
    else:
        raise AssertionError("it never comes to its end")
    assert number >= 1


class Saves:
    """A user who saves ahead of the n-th change of the disk that concerns the path."""

    def __init__(self, home: Home, number: int) -> None:
        self.home = home
        self.number = number
        self.content = b""
        self.is_busy = False

    def __call__(self, verb: str, path: str) -> None:
        if self.is_busy or not path.startswith(str(self.home.root)):
            return
        self.number -= 1
        if self.number == -1:
            self.is_busy = True
            self.content = b"saved at the last moment"
            full = self.home.full("a")
            with open(full + b".swp", "wb") as file:
                file.write(self.content)
            if not os.path.isdir(full) or os.path.islink(full):
                os.replace(full + b".swp", full)
            self.is_busy = False


@pytest.mark.parametrize(("before", "after"), [it for it in DIRECTIONS if it[0] is not Kind.DIRECTORY])
@pytest.mark.parametrize("aside", [None, "a.mine"])
def test_a_save_at_every_step_is_kept(
    tmp_path: Path, before: Kind, after: Kind, aside: str | None, abilities: str
) -> None:
    """GIVEN a change WHEN the user saves between any two of its steps THEN that is in the folder or in the trash.

    Where neither exchange nor link is possible nothing helps in the instant between a look and a rename.
    """
    if abilities == "neither":
        return
    for number in range(60):
        (tmp_path / str(number)).mkdir()
        home = Home(tmp_path / str(number), Rules(), 0.0, Path(":memory:"))
        put(home, before)
        entry = Entry.gone("a") if after is Kind.GONE else wanted(after)
        expected = home.hashed().get("a")
        user = Saves(home, number)
        with DiskHook(user):
            bring(home, entry, expected, aside)
        if not user.content:
            break
        assert user.content in holds(home), number
    else:
        raise AssertionError("it never comes to its end")
    assert number >= 1


def test_a_link_where_a_directory_should_be_leads_nobody_outside(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(MINE)
    os.symlink(outside, home.full("d"))
    file = Entry("d/x", len(MINE), os.stat(outside / "x").st_mtime_ns, 0o644)
    assert home.folder.make([Entry.directory("d/sub")], {"d/sub": None})[0].outcome is Outcome.BLOCKED
    assert bring(home, arriving("d/x", THEIRS), file).outcome is Outcome.BLOCKED
    assert bring(home, wanted(Kind.LINK, "d/y"), None).outcome is Outcome.BLOCKED
    assert home.folder.change_mode([file], {"d/x": file})[0].outcome is Outcome.BLOCKED
    assert home.folder.remove([file])[0].outcome is Outcome.INSTALLED  # Below a link there is nothing of ours.
    assert not home.folder.has("d/x")
    assert os.listdir(outside) == ["x"]
    assert (outside / "x").read_bytes() == MINE


def test_a_trash_that_is_a_link_takes_nothing(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    os.mkdir(home.full(PRIVATE))
    os.symlink(tmp_path / "outside", home.full(f"{PRIVATE}/trash"))
    home.write("a", MINE)
    result = bring(home, Entry.gone("a"), home.hashed()["a"])
    assert (result.outcome, result.reason) == (Outcome.BLOCKED, "trash is a symbolic link")
    assert home.read("a") == MINE
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize("path", [" ", "new\nline", "\udcff\udcfe", "é" * 127, "d" * 255, "d" * 255 + "/" + "e" * 255])
def test_all_names_can_be_made_and_removed(home: Home, path: str) -> None:
    for kind in (Kind.FILE, Kind.LINK, Kind.DIRECTORY):
        assert bring(home, wanted(kind, path), home.hashed().get(path)).outcome is Outcome.INSTALLED
        assert home.hashed()[path].kind is kind
    assert bring(home, Entry.gone(path), home.hashed()[path]).outcome is Outcome.INSTALLED
    assert {item.path for item in home.folder.trash.items()} == {path}
    assert not home.folder.has(path)


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.LINK, Kind.DIRECTORY])
@pytest.mark.parametrize("path", ["n" * 256, "n" * 256 + "/x", "/".join(["n" * 254] * 16)])
def test_a_name_that_cannot_be_stored_is_impossible(home: Home, kind: Kind, path: str) -> None:
    result = bring(home, wanted(kind, path), None)
    assert result.outcome is Outcome.IMPOSSIBLE
    assert result.reason in ("file name too long", "its full path is too long here")
    assert home.folder.scan().complete


@pytest.mark.parametrize("target", ["t" * 4095, "\udcff", "a\nb", "/"])
def test_targets_of_all_kinds_arrive(home: Home, target: str) -> None:
    assert bring(home, Entry.link("a", target, 5), None).outcome is Outcome.INSTALLED
    assert os.readlink(home.full("a")) == path_bytes(target)
    assert home.folder.scan().entries == {"a": Entry.link("a", target, 5)}


def test_a_folder_that_takes_two_names_for_one_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory listing that has another spelling than the one we asked for: as on macOS and Windows."""
    home.write("Read", MINE)
    home.write("read", b"the same file on such a system")
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda where: [name for name in real(where) if name != "read"])
    for kind in (Kind.FILE, Kind.LINK, Kind.DIRECTORY):
        result = bring(home, wanted(kind, "read"), None)
        assert (result.outcome, result.reason) == (Outcome.IMPOSSIBLE, "this file system takes it for Read")
    assert home.read("Read") == MINE


def test_nothing_is_put_into_a_directory_of_another_spelling(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be found under another path, as if the one that was wanted had been deleted."""
    os.makedirs(home.full("Docs/deep"))
    os.makedirs(home.full("docs/deep"))  # The same directory on such a system.
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda where: [name for name in real(where) if name != "docs"])
    for kind in (Kind.FILE, Kind.LINK, Kind.DIRECTORY):
        for path in ("docs/a", "docs/deep/a", "docs/new/a"):
            result = bring(home, wanted(kind, path), None)
            assert (result.outcome, result.reason) == (Outcome.IMPOSSIBLE, "this file system takes it for Docs")
        assert bring(home, wanted(kind, f"Docs/deep/{kind.value}"), None).outcome is Outcome.INSTALLED
        assert bring(home, wanted(kind, f"New/deep/{kind.value}"), None).outcome is Outcome.INSTALLED
    assert os.listdir(home.full("docs")) == [b"deep"]
    assert os.listdir(home.full("docs/deep")) == []


def test_directories_get_their_permissions_and_can_always_be_used(home: Home) -> None:
    modes = {"a": 0o750, "a/b": 0o555, "c": 0o000}
    results = home.folder.make([Entry.directory(path, mode) for path, mode in modes.items()], dict.fromkeys(modes))
    got = {result.entry.path: result.entry.mode for result in results}
    assert got == {"a": 0o750, "a/b": 0o755, "c": 0o700}
    assert {path: entry.mode for path, entry in home.folder.scan().entries.items()} == got
    os.chmod(home.full("a"), 0o2700)
    (result,) = home.folder.make([Entry.directory("a", 0o770)], {"a": Entry.directory("a", 0o700)})
    assert result.outcome is Outcome.INSTALLED
    assert stat.S_IMODE(os.stat(home.full("a")).st_mode) == 0o2770


def test_permissions_change_and_the_content_stays_known(home: Home) -> None:
    home.write("a", MINE)
    home.write("edited", MINE)
    os.mkdir(home.full("d"))
    planned = home.hashed()
    home.write("edited", MINE, OLD_NS + 1)
    wishes = [Entry("a", 1, 1, 0o4711, "00"), Entry("edited", 1, 1, 0o600), Entry.directory("d", 0o500)]
    results = {result.entry.path: result for result in home.folder.change_mode(wishes, planned)}
    assert {path: result.outcome for path, result in results.items()} == {
        "a": Outcome.INSTALLED, "d": Outcome.INSTALLED, "edited": Outcome.CHANGED,
    }  # fmt: skip
    after = home.folder.scan().entries
    assert after["a"] == results["a"].entry
    assert (after["a"].mode, after["a"].mtime_ns) == (0o711, OLD_NS)
    assert after["d"].mode == 0o700


def test_where_there_are_no_permissions_it_is_said_what_became_of_them(home: Home, monkeypatch) -> None:
    home.write("a", MINE)
    os.mkdir(home.full("d"))
    planned = home.hashed()
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)  # As FAT does it.
    changed = home.folder.change_mode([Entry("a", 1, 1, 0o600), Entry.directory("d", 0o700)], planned)
    made = home.folder.make([Entry.directory("d", 0o711), Entry.directory("n", 0o777)], {"d": planned["d"], "n": None})
    there = home.folder.scan().entries
    assert [result.outcome for result in (*changed, *made)] == [Outcome.INSTALLED] * 4
    assert [result.entry.mode for result in (*changed, *made)] == [there[path].mode for path in ("a", "d", "d", "n")]
    assert there["a"].mode == planned["a"].mode != 0o600


def test_removing_is_deepest_first_and_twice_is_fine(home: Home) -> None:
    for path in ("d/e/f", "d/g"):
        home.write(path, MINE)
    os.makedirs(home.full("d/empty"))
    everything = list(home.hashed().values())
    for _ in range(2):
        assert {result.outcome for result in home.folder.remove(everything)} == {Outcome.INSTALLED}
    assert home.folder.scan().entries == {}
    assert [item.path for item in home.folder.trash.items()] == ["d/g", "d/e/f"]


def test_a_crash_can_be_followed_by_a_sweep_of_what_arrived_only(home: Home) -> None:
    """Whatever a run leaves in staging was never the user's."""
    home.write("a", MINE)
    seen = []

    def look(verb: str, path: str) -> None:
        for directory in (home.root / PRIVATE).glob("staging-*"):
            seen.extend(file.read_bytes() for file in directory.iterdir() if file.stat().st_size)

    expected = home.hashed()["a"]
    with DiskHook(look):
        bring(home, arriving("a", THEIRS), expected)
    assert set(seen) == {THEIRS}
