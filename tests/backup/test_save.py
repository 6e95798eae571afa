"""Save: a version holds what was on the disk, runs after it store what changed, and the store is not believed."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from escale.backup.catalog import Catalog
from escale.backup.config import Config
from escale.backup.machine import Machine
from escale.backup.node import Node, NodeType
from escale.backup.objects import Kind, Objects
from escale.backup.pack import BlobKind
from escale.backup.proof import ProofFailed
from escale.backup.repository import Repository
from escale.backup.save import NothingToSave, Save
from escale.backup.snapshot import Snapshot
from escale.backup.tree import decode_tree
from escale.backup.writer import Writer
from escale.clock import SystemClock
from escale.errors import EscaleError, NoRelaySpace, Unreachable
from escale.store.directory import DirectoryStore
from escale.testing.faults import Crash

from .conftest import PASSWORD, Restic
from .places import MACHINE, PAUSE_S, Place, dies_at

IS_ROOT = os.geteuid() == 0


def nodes_of(repository: Repository, tree: str, path: str = "") -> dict[str, Node]:
    """Everything below a tree."""
    found = {}
    for node in decode_tree(repository.load_blob(BlobKind.TREE, bytes.fromhex(tree)), path):
        below = f"{path}/{node.name}"
        found[below] = node
        if node.subtree:
            found |= nodes_of(repository, node.subtree, below)
    return found


def tree_of(place: Place, snapshot: Snapshot, top: Path) -> str:
    """The tree of the folder itself: those above it hold times that anybody may change, as those of /tmp."""
    repository = place.repository()
    repository.refresh()
    return nodes_of(repository, snapshot.tree)[str(top)].subtree


def version(place: Place, snapshot: Snapshot, top: Path) -> dict[str, bytes | str | None]:
    """The contents of files, the targets of links, None for all else, by their path below `top`."""
    return below(place, tree_of(place, snapshot, top))


def below(place: Place, tree: str) -> dict[str, bytes | str | None]:
    """The same below a tree."""
    repository = place.repository()
    repository.refresh()
    found: dict[str, bytes | str | None] = {}
    for path, node in nodes_of(repository, tree).items():
        content = [repository.load_blob(BlobKind.DATA, bytes.fromhex(blob)) for blob in node.content]
        found[path[1:]] = b"".join(content) if node.type is NodeType.FILE else node.target or None
    return found


def disk(top: Path) -> dict[str, bytes | str | None]:
    """The same of what is on the disk."""
    found: dict[str, bytes | str | None] = {}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            path = Path(directory, name)
            key = str(path.relative_to(top))
            if path.is_symlink():
                found[key] = os.readlink(path)
            else:
                found[key] = path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files small and large, empty ones, directories, links."""
    top = tmp_path / "folder"
    (top / "empty").mkdir(parents=True)
    (top / "deep" / "er").mkdir(parents=True)
    rng = random.Random(1)
    for number in range(30):
        (top / "deep" / f"file-{number}").write_bytes(rng.randbytes(rng.randrange(3000)))
    (top / "large").write_bytes(rng.randbytes(300_000))
    (top / "nothing").write_bytes(b"")
    (top / "deep" / "er" / "text").write_bytes(b"words and words\n" * 1000)
    os.symlink("../large", top / "deep" / "link")
    return top


def test_a_version_holds_what_was_on_the_disk(folder):
    place = Place()
    saved = place.save(folder)
    assert version(place, saved.snapshot, folder) == disk(folder)
    assert (saved.counts.files_new, saved.counts.others) == (33, 1)
    assert saved.snapshot.paths == (str(folder),)
    assert saved.snapshot.hostname == MACHINE.hostname
    assert not (saved.damaged or saved.unreadable or saved.changed_meanwhile)


def test_an_unchanged_folder_costs_a_snapshot_and_reads_no_file(folder, tmp_path):
    place = Place()
    first = place.save(folder, cache=tmp_path)
    os.chmod(folder / "large", 0)  # Of no use against root, but bytes_read tells.
    os.chmod(folder / "large", 0o644)
    middle = place.save(folder, parent=first.snapshot, cache=tmp_path)
    for cache in (tmp_path, None):
        second = place.save(folder, parent=middle.snapshot, cache=cache)
        stored = dict(second.snapshot.rest)["summary"]
        # Whoever works in /tmp changes the directories above, and they are in the version, too.
        assert (stored["data_blobs"], stored["tree_blobs"] < len(folder.parts)) == (0, True)
        assert tree_of(place, second.snapshot, folder) == tree_of(place, middle.snapshot, folder)
        assert (second.counts.bytes_read, second.counts.files_unmodified) == (0, 33)
        assert second.counts.directories_unmodified >= 4
        assert second.counts.bytes == first.counts.bytes


def test_an_edit_stores_what_changed(folder, tmp_path):
    place = Place()
    first = place.save(folder, cache=tmp_path)
    content = bytearray((folder / "large").read_bytes())
    content[150_000:150_003] = b"new"
    (folder / "large").write_bytes(content)
    (folder / "deep" / "file-3").unlink()
    (folder / "deep" / "added").write_bytes(b"added")
    (folder / "empty").rmdir()
    os.unlink(folder / "deep" / "link")
    os.symlink("elsewhere", folder / "deep" / "link")
    before = set(place.names("data"))
    second = place.save(folder, parent=first.snapshot, cache=tmp_path)
    assert version(place, second.snapshot, folder) == disk(folder)
    assert (second.counts.files_new, second.counts.files_changed) == (1, 1)
    assert sum(len(place.blobs[name][0]) for name in set(place.names("data")) - before) < 60_000
    assert version(place, first.snapshot, folder).keys() - version(place, second.snapshot, folder).keys() == {
        "deep/file-3",
        "empty",
    }


@pytest.mark.parametrize("change", ["content", "mode", "time", "kind", "link target", "owner", "attribute"])
def test_every_kind_of_change_is_seen(folder, change):
    place = Place()
    first = place.save(folder)
    path = folder / "deep" / "file-1"
    if change == "content":
        status = os.stat(path)
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # The ctime tells.
    elif change == "mode":
        os.chmod(path, 0o600)
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "kind":
        path.unlink()
        path.mkdir()
    elif change == "link target":
        os.unlink(folder / "deep" / "link")
        os.symlink("other", folder / "deep" / "link")
    elif change == "owner":
        if not IS_ROOT:
            pytest.skip("NOT TESTED: only root gives files away")
        os.chown(path, 12345, 54321)
    else:
        try:
            os.setxattr(path, "user.note", b"value")
        except OSError:
            pytest.skip("NOT TESTED: no extended attributes on this file system")
    second = place.save(folder, parent=first.snapshot)
    assert tree_of(place, second.snapshot, folder) != tree_of(place, first.snapshot, folder)
    other = Place()
    fresh = other.save(folder)
    assert tree_of(place, second.snapshot, folder) == tree_of(other, fresh.snapshot, folder)


def test_several_paths_and_one_file(folder, tmp_path):
    place = Place()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"1")
    paths = [folder / "deep", tmp_path / "other" / "file", folder / "deep" / "er", folder / "large"]
    saved = place.save(*paths)
    repository = place.repository()
    repository.refresh()
    nodes = nodes_of(repository, saved.snapshot.tree)
    assert nodes[str(tmp_path / "other" / "file")].size == 1
    assert str(folder / "deep" / "er" / "text") in nodes
    assert str(folder / "large") in nodes
    assert str(folder / "nothing") not in nodes
    assert nodes[str(folder)].mode == os.stat(folder).st_mode & 0o7777
    again = place.save(*paths, parent=saved.snapshot)
    assert tree_of(place, again.snapshot, folder) == tree_of(place, saved.snapshot, folder)


def test_what_is_excluded_is_not_looked_into(folder):
    place = Place()
    asked = []

    def excludes(path: str, is_directory: bool) -> bool:
        asked.append((path, is_directory))
        return path.endswith(("/er", "/large"))

    saved = place.save(folder, excludes=excludes)
    found = version(place, saved.snapshot, folder)
    assert found.keys() == {key for key in disk(folder) if key != "large" and not key.startswith("deep/er")}
    assert (str(folder / "deep"), True) in asked
    assert (str(folder / "nothing"), False) in asked
    assert not any(path.startswith(str(folder / "deep" / "er") + "/") for path, _ in asked)


def test_a_path_that_is_not_there_saves_nothing(folder):
    place = Place()
    with pytest.raises(NothingToSave):
        place.save(folder, folder / "unmounted")
    assert not place.names("snapshots")


# --- what disks hold


def test_names_of_any_bytes(tmp_path):
    top = tmp_path / "folder"
    top.mkdir()
    names = [b"a\nb", b"\xff\xfe", b'quo"te\\', b" ", "ü".encode(), "u\u0308".encode(), b"<&>", b"\x7f\x01", b"x" * 255]
    names += ["\u2028".encode(), "🙂".encode(), b"\xed\xa0\x80", b"...", b"-rf", b"\xc3"]
    for name in names:
        try:
            with open(os.path.join(os.fsencode(top), name), "wb") as file:
                file.write(name)
        except OSError:
            names.remove(name)
    os.symlink(b"\xff\xfe\n", os.path.join(os.fsencode(top), b"link"))
    place = Place()
    saved = place.save(top)
    assert version(place, saved.snapshot, top) == disk(top)
    again = place.save(top, parent=saved.snapshot)
    assert again.counts.files_unmodified == len(names)
    assert tree_of(place, again.snapshot, top) == tree_of(place, saved.snapshot, top)


@pytest.mark.parametrize("name", ["d", "directory-with-a-longer-name"])
def test_three_hundred_levels(tmp_path, name):
    here = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "beside").write_bytes(b"1")
    for _ in range(300):
        os.mkdir(name, dir_fd=here)
        for sibling in ("a", "z"):
            os.close(os.open(sibling, os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    place = Place()
    saved = place.save(tmp_path)
    assert (saved.counts.files_new, saved.unreadable) == (601, ())
    again = place.save(tmp_path, parent=saved.snapshot)
    assert again.counts.files_unmodified == 601
    subprocess.run(["rm", "-rf", str(tmp_path / name)], check=True)


def test_a_directory_that_is_moved_while_we_are_deep_below_it_is_named(tmp_path):
    """Those far above are not held open, and ".." would lead elsewhere."""
    top = tmp_path / "folder"
    deep = top.joinpath("moved", *["d"] * 100)
    deep.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_bytes(b"secret")
    (deep / "file").write_bytes(b"1")

    def excludes(path: str, is_directory: bool) -> bool:
        if path == str(deep / "file"):
            os.rename(top / "moved", tmp_path / "elsewhere" / "moved")
        return False

    place = Place()
    saved = place.save(top, excludes=excludes)
    assert [each.path for each in saved.unreadable] == [str(top)]
    found = version(place, saved.snapshot, top)
    assert found[str(deep.relative_to(top) / "file")] == b"1"
    assert not any("secret" in path for path in found)


def test_the_root_itself(folder):
    """What is not wanted of it is excluded by the caller."""
    wanted = [str(folder), *map(str, folder.parents)]
    place = Place()
    saved = place.save("/", excludes=lambda path, _: path not in wanted and not path.startswith(f"{folder}/"))
    assert version(place, saved.snapshot, folder) == disk(folder)
    assert saved.snapshot.paths == ("/",)


def test_many_names_in_a_directory(tmp_path):
    top = tmp_path / "folder"
    top.mkdir()
    for number in range(5000):
        (top / f"{number:x}").write_bytes(str(number).encode())
    place = Place()
    saved = place.save(top)
    assert version(place, saved.snapshot, top) == disk(top)


def test_hard_links_are_read_once_and_known_as_such(folder):
    os.link(folder / "large", folder / "also")
    place = Place()
    saved = place.save(folder)
    repository = place.repository()
    repository.refresh()
    nodes = nodes_of(repository, saved.snapshot.tree)
    one, other = nodes[f"{folder}/large"], nodes[f"{folder}/also"]
    assert (one.inode, one.device_id, one.links, one.content) == (other.inode, other.device_id, 2, other.content)
    assert saved.counts.bytes_read == saved.counts.bytes - 300_000


def test_sparse_files(tmp_path):
    path = tmp_path / "folder" / "sparse"
    path.parent.mkdir()
    with open(path, "wb") as file:
        file.seek(2_000_000)
        file.write(b"data")
        file.truncate(5_000_000)
    place = Place()
    saved = place.save(path.parent)
    assert version(place, saved.snapshot, path.parent) == {"sparse": path.read_bytes()}
    assert sum(len(place.blobs[name][0]) for name in place.names("data")) < 20_000


def test_special_files_are_there_and_sockets_are_not(folder, monkeypatch):
    os.mkfifo(folder / "fifo")
    end = socket.socket(socket.AF_UNIX)
    # The path of a socket has hundred bytes at most.
    monkeypatch.chdir(folder)
    end.bind("socket")
    place = Place()
    saved = place.save(folder)
    end.close()
    found = version(place, saved.snapshot, folder)
    assert "fifo" in found
    assert "socket" not in found
    assert not saved.unreadable


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(folder):
    os.chmod(folder / "large", 0)
    if os.access(folder / "large", os.R_OK):
        pytest.skip("NOT TESTED: root reads everything")
    os.chmod(folder / "deep", 0)
    place = Place()
    saved = place.save(folder)
    os.chmod(folder / "deep", 0o755)
    assert {each.path for each in saved.unreadable} == {f"{folder}/large", f"{folder}/deep"}
    assert "nothing" in version(place, saved.snapshot, folder)


# --- what changes meanwhile


class Meddler:
    """Does something when a file or directory of this name is opened, or was read, the first `times`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, verb: str, name: str, act, times: int = 1) -> None:
        original = getattr(os, verb)

        def wrapped(where, *arguments, **named):
            found = original(where, *arguments, **named)
            if where == name and self.left:
                self.left -= 1
                act()
            return found

        self.left = times
        monkeypatch.setattr(os, verb, wrapped)


def test_a_file_that_changes_while_it_is_read_is_read_again(folder, monkeypatch):
    Meddler(monkeypatch, "open", "large", lambda: (folder / "large").write_bytes(b"new content"))
    place = Place()
    saved = place.save(folder)
    assert version(place, saved.snapshot, folder) == disk(folder)
    assert saved.changed_meanwhile == ()


def test_a_file_that_never_holds_still_is_stored_and_named_and_read_again_next_time(folder, monkeypatch):
    original, inode = os.readv, os.stat(folder / "large").st_ino

    def readv(descriptor, buffers):
        found = original(descriptor, buffers)
        if found and os.fstat(descriptor).st_ino == inode:
            with open(folder / "large", "ab") as file:
                file.write(b"m")
        return found

    monkeypatch.setattr(os, "readv", readv)
    place = Place()
    saved = place.save(folder)
    monkeypatch.undo()
    assert saved.changed_meanwhile == (f"{folder}/large",)
    assert (folder / "large").read_bytes().startswith(version(place, saved.snapshot, folder)["large"])
    second = place.save(folder, parent=saved.snapshot)
    assert version(place, second.snapshot, folder) == disk(folder)
    assert second.changed_meanwhile == ()


def test_a_change_just_before_the_version_is_not_taken_for_none(folder):
    """GIVEN a file whose times are those of the last version, which was begun at that very moment
    WHEN the next version is saved THEN the file is read: it could have been changed again within one tick."""
    place = Place()
    place.clock.jump(os.stat(folder / "large").st_ctime_ns / 1e9 - place.clock.now() - PAUSE_S)
    first = place.save(folder)
    second = place.save(folder, parent=first.snapshot)
    assert second.counts.bytes_read >= 300_000
    third = place.save(folder, parent=second.snapshot)
    assert third.counts.bytes_read == 0


@pytest.mark.parametrize("verb", ["stat", "open"])
@pytest.mark.parametrize("name", ["large", "deep"])
def test_what_vanishes_is_no_trouble(folder, monkeypatch, verb, name):
    original = getattr(os, verb)

    def wrapped(where, *arguments, **named):
        if where == name:
            subprocess.run(["rm", "-rf", str(folder / name)], check=True)
        return original(where, *arguments, **named)

    monkeypatch.setattr(os, verb, wrapped)
    place = Place()
    saved = place.save(folder)
    monkeypatch.undo()
    assert saved.unreadable == ()
    assert version(place, saved.snapshot, folder) == disk(folder)


def test_a_directory_that_becomes_a_link_leads_nobody_outside(folder, tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    original = os.open

    def wrapped(where, *arguments, **named):
        if where == "deep" and not (folder / "deep").is_symlink():
            os.rename(folder / "deep", folder / "moved")
            os.symlink(tmp_path / "outside", folder / "deep")
        return original(where, *arguments, **named)

    monkeypatch.setattr(os, "open", wrapped)
    place = Place()
    saved = place.save(folder)
    monkeypatch.undo()
    assert not any("secret" in path for path in version(place, saved.snapshot, folder))
    assert [each.path for each in saved.unreadable] == [f"{folder}/deep"]


# --- a store that is not believed


def objects(place: Place) -> list[str]:
    return [name for name in place.blobs if not name.startswith(("snapshots/", "x-escale/"))]


@pytest.mark.parametrize("how", ["gone", "cut"])
@pytest.mark.parametrize("has_cache", [True, False])
def test_every_lost_or_cut_object_is_told_and_healed_from_the_source(folder, tmp_path, how, has_cache):
    """For each object in turn; afterwards the *first* version is whole again, too."""
    cache = tmp_path / "cache"
    place = Place()
    first = place.save(folder, cache=cache if has_cache else None)
    tree = tree_of(place, first.snapshot, folder)
    for name in objects(place):
        place.damage(name, how)
        saved = place.save(folder, parent=first.snapshot, cache=cache if has_cache else None)
        assert saved.damaged or name.startswith("index/"), name
        assert below(place, tree_of(place, saved.snapshot, folder)) == below(place, tree) == disk(folder), name


def test_every_flipped_bit_in_a_pack_is_found_by_enough_runs_and_healed(folder, tmp_path):
    place = Place()
    first = place.save(folder, cache=tmp_path)
    tree = tree_of(place, first.snapshot, folder)
    for name in place.names("data"):
        place.damage(name, "flipped")
        runs = 0
        while name[8:20] not in str(place.save(folder, parent=first.snapshot, cache=tmp_path, seed=runs).damaged):
            runs += 1
            assert runs < 40
        assert below(place, tree) == disk(folder), name


def test_a_pack_that_is_lost_while_we_save_is_stored_again_in_the_same_run(folder):
    place = Place()
    lost = []

    def lose(verb: str, name: str) -> None:
        if name.startswith("index/") and not lost:
            lost.extend(place.names("data"))
            for pack in lost:
                del place.blobs[pack]

    place.after = lose
    saved = place.save(folder)
    assert len(saved.damaged) == len(lost) > 0
    assert version(place, saved.snapshot, folder) == disk(folder)


def test_a_store_that_keeps_nothing_gets_no_version(folder):
    place = Place()
    place.after = lambda verb, name: place.blobs.pop(name, None) if name.startswith("data/") else None
    with pytest.raises(ProofFailed):
        place.save(folder)
    assert not place.names("snapshots")


def test_an_index_that_is_lost_while_we_save_is_noticed(folder):
    place = Place()
    lost = []

    def lose(verb: str, name: str) -> None:
        if name.startswith("index/") and not lost:
            lost.append(place.blobs.pop(name))

    place.after = lose
    saved = place.save(folder)
    assert saved.damaged
    assert version(place, saved.snapshot, folder) == disk(folder)


def test_old_packs_are_read_again_in_turn(folder, tmp_path):
    place = Place()
    for number in range(8):
        (folder / "large").write_bytes(random.Random(number).randbytes(200_000))
        saved = place.save(folder, cache=tmp_path)
    packs = {name.rpartition("/")[2] for name in place.names("data")}
    reads: set[str] = set()
    original = Objects.read

    def read(self: Objects, kind: Kind, name: str) -> bytes:
        reads.add(name)
        return original(self, kind, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objects, "read", read)
        for _ in range(3 * len(packs)):
            place.save(folder, parent=saved.snapshot, cache=tmp_path)
    assert packs <= reads


def test_old_packs_are_not_read_again_in_the_same_day(folder, tmp_path, monkeypatch):
    """Who saves every hour pays for one reading a day."""
    place, reads = Place(), list[str]()
    saved = place.save(folder, cache=tmp_path)
    place.save(folder, parent=saved.snapshot, cache=tmp_path)
    original = Objects.read
    monkeypatch.setattr(Objects, "read", lambda self, kind, name: reads.append(name) or original(self, kind, name))
    packs = {name.rpartition("/")[2] for name in place.names("data")}
    advance = place.clock.advance
    monkeypatch.setattr(place.clock, "advance", lambda seconds: advance(3600.0))
    for _ in range(19):
        place.save(folder, parent=saved.snapshot, cache=tmp_path)
    assert not packs.intersection(reads)
    place.save(folder, parent=saved.snapshot, cache=tmp_path)
    assert packs.intersection(reads)


@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_any_change_of_the_store_harms_nothing(folder, tmp_path, when):
    """The next run completes what the dead one began; the version before is whole all the time."""
    place = Place()
    first = place.save(folder, cache=tmp_path)
    for nth in range(100):
        (folder / "large").write_bytes(random.Random(nth).randbytes(50_000))
        setattr(place, when, dies_at(nth))
        try:
            place.save(folder, parent=first.snapshot, cache=tmp_path)
            died = False
        except Crash:
            died = True
        setattr(place, when, lambda verb, name: None)
        for each in [*place.repository().snapshots()]:
            assert isinstance(each, Snapshot)
            version(place, each, folder)
        saved = place.save(folder, parent=first.snapshot, cache=tmp_path)
        assert version(place, saved.snapshot, folder) == disk(folder)
        if not died:
            break
    assert 3 < nth < 99


@pytest.mark.parametrize("error", [NoRelaySpace, Unreachable])
def test_a_store_that_is_full_or_gone_half_way_harms_nothing(folder, tmp_path, error):
    place = Place()
    first = place.save(folder, cache=tmp_path)
    (folder / "large").write_bytes(random.Random(2).randbytes(200_000))
    for nth in range(5):
        left = nth

        def fail(verb: str, name: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise error(where="memory:", reason="on purpose")

        place.before = fail
        with pytest.raises(error):
            place.save(folder, parent=first.snapshot, cache=tmp_path)
        place.before = lambda verb, name: None
        assert version(place, first.snapshot, folder)
    saved = place.save(folder, parent=first.snapshot, cache=tmp_path)
    assert version(place, saved.snapshot, folder) == disk(folder)


def test_a_wrong_store_says_so_in_one_sentence(folder):
    class Broken(EscaleError):
        """broken"""

    place = Place()

    def fail(verb: str, name: str) -> None:
        raise Broken

    place.before = fail
    with pytest.raises(Broken):
        place.save(folder)


# --- restic


def machine_save(place: Path, *paths: Path, parent: Snapshot | None = None) -> tuple[Repository, Snapshot]:
    def open_store() -> DirectoryStore:
        return DirectoryStore(place)

    if place.exists():
        repository = Repository.open(open_store, PASSWORD, None)
    else:
        place.mkdir()
        repository = Repository.init(open_store, PASSWORD, None, Machine.this(), SystemClock().now())
    with Writer(repository, 2, 2) as writer:
        return repository, Save(repository, writer, SystemClock()).run(
            [str(path) for path in paths], parent=parent
        ).snapshot


def same(one: Path, other: Path) -> None:
    subprocess.run(["diff", "-r", "--no-dereference", str(one), str(other)], check=True)


def test_restic_checks_and_restores_what_we_save(folder, tmp_path, restic: Restic):
    os.link(folder / "large", folder / "also")
    with open(folder / "sparse", "wb") as file:
        file.truncate(3_000_000)
    (folder / ("x" * 200)).write_bytes(b"long")
    place = tmp_path / "place"
    _, first = machine_save(place, folder)
    (folder / "large").write_bytes(b"another")
    _, second = machine_save(place, folder, parent=first)
    restic.run(place, "check", "--read-data")
    restic.run(place, "restore", second.id, "--target", str(tmp_path / "out"))
    same(folder, Path(f"{tmp_path}/out{folder}"))
    assert os.stat(f"{tmp_path}/out{folder}/large").st_ino == os.stat(f"{tmp_path}/out{folder}/also").st_ino


def test_we_and_restic_take_turns(folder, tmp_path, restic: Restic):
    """Each goes on from the version of the other, and finds nothing to read."""
    place = tmp_path / "place"
    repository, _ = machine_save(place, folder)
    told = restic.run(place, "backup", "--json", str(folder))
    assert '"files_new":0' in told
    (theirs,) = [
        each for each in repository.snapshots() if isinstance(each, Snapshot) and "escale" not in each.program_version
    ]
    repository, third = machine_save(place, folder, parent=theirs)
    restic.run(place, "check", "--read-data")
    repository.refresh()
    ours, other = (nodes_of(repository, tree) for tree in (third.tree, theirs.tree))
    assert ours.keys() == other.keys()


def test_the_catalog_and_the_config_are_needed_by_nobody(folder):
    """Everything can be read from the store and the key alone."""
    place = Place()
    saved = place.save(folder)
    repository = Repository(Objects(place.store()), place.master, Config.generate(), Catalog(None), place.store)
    assert repository.refresh() == []
    assert nodes_of(repository, saved.snapshot.tree)
