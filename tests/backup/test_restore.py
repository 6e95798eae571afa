"""Restore: what was saved comes back whole or not at all, what is there is kept, and nothing leads outside."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from escale.backup import assemblies, restore
from escale.backup.assembly import SMALL_BYTES
from escale.backup.fetch import Fetch
from escale.backup.index import IndexFile
from escale.backup.node import NodeType
from escale.backup.objects import Kind
from escale.backup.pack import BlobKind
from escale.backup.restore import Restore
from escale.backup.versions import Versions
from escale.errors import LocalError, NoLocalSpace, Unreachable
from escale.files.overwrite import Overwrite
from escale.testing.faults import Crash

from .places import Place
from .versions_made import TIME_NS, Maker, described, linked, names, node, opened, restored

IS_ROOT = os.geteuid() == 0
LARGE = SMALL_BYTES + 1000


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def maker(place) -> Maker:
    return Maker(place)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where to restore to."""
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


def tree_of(maker: Maker, *nodes) -> str:
    tree = maker.tree(nodes)
    maker.close()
    return tree


def folder_with_everything(top: Path) -> None:
    """Each type and each attribute that a version holds, as far as the user may make them."""
    (top / "deep" / "er").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o500)
    (top / "nothing").write_bytes(b"")
    (top / "deep" / "small").write_bytes(b"small\n")
    (top / "deep" / "er" / "large").write_bytes(noise(3 * LARGE))
    for name, mode in (("private", 0o600), ("set-uid", 0o4755), ("set-gid", 0o2755), ("locked", 0)):
        (top / name).write_bytes(name.encode())
        (top / name).chmod(mode)
    (top / "sticky").mkdir()
    (top / "sticky").chmod(0o1777)
    os.symlink("deep/small", top / "link")
    os.symlink(b"\xff/no where\xc3", top / "odd link")
    os.link(top / "deep" / "small", top / "second name")
    os.link(top / "deep" / "small", top / "deep" / "er" / "third name")
    os.mkfifo(top / "pipe", 0o640)
    for name in (b"\xff\xfe", b'q"uo\\te', b"new\nline", "é€😀".encode()):
        Path(os.fsdecode(os.fsencode(top) + b"/" + name)).write_bytes(name)
    with open(top / "sparse", "wb") as file:
        file.seek(4 << 20)
        file.write(b"an island")
        file.truncate(8 << 20)
    os.setxattr(top / "private", "user.note", b"\0\xff")
    os.setxattr(top / "deep", "user.empty", b"")
    if IS_ROOT:
        os.mknod(top / "block", 0o60640, os.makedev(7, 300))
        os.mknod(top / "character", 0o20600, os.makedev(1, 3))
        os.chown(top / "private", 12345, 54321)
        os.chown(top / "set-gid", 0, 54321)
        (top / "set-gid").chmod(0o2755)
        os.lchown(top / "link", 12345, 54321)
    for second, path in enumerate(sorted(top.rglob("*"), reverse=True), -5):
        os.utime(path, ns=(second * 10**9 + 1, second * 10**9 + 999), follow_symlinks=False)


def test_everything_that_a_version_holds_comes_back(place, tmp_path, target):
    source = tmp_path / "source"
    folder_with_everything(source)
    saved = place.save(source)
    repository = opened(place)
    at = Versions(repository).at(saved.snapshot, str(source).lstrip("/"))
    done = restored(place, at.node.subtree, target)
    assert not done.missing and not done.kept and not done.imperfect
    assert names(target) == names(source)
    assert [described(target / name) for name in names(source)] == [described(source / name) for name in names(source)]
    assert (target / "second name").stat().st_ino == (target / "deep/small").stat().st_ino
    assert (target / "deep/small").stat().st_nlink == 3
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("files_max", [1, 2, 3, 5])
def test_everything_comes_back_however_few_are_begun_at_a_time(place, tmp_path, target, monkeypatch, files_max):
    for module in (assemblies, restore):
        monkeypatch.setattr(module, "FILES_MAX", files_max)
    test_everything_that_a_version_holds_comes_back(place, tmp_path, target)


def test_what_belongs_to_a_directory_is_given_when_it_is_full(maker, place, target):
    inner = maker.directory("inner", maker.file("a", b"a"), mode=0o500, mtime_ns=5)
    tree = tree_of(maker, maker.directory("outer", inner, mode=0o550, mtime_ns=7))
    assert not restored(place, tree, target).missing
    outer = (target / "outer").stat()
    assert (outer.st_mode & 0o777, outer.st_mtime_ns) == (0o550, 7)
    assert (target / "outer/inner").stat().st_mtime_ns == 5


def test_more_small_files_than_may_be_open_at_once(maker, place, target):
    tree = tree_of(maker, *(maker.file(f"file-{number:04}", b"%d" % number) for number in range(600)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        done = restored(place, tree, target)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (done.missing, done.files) == ([], 600)
    assert all((target / f"file-{number:04}").read_bytes() == b"%d" % number for number in range(600))


# --- what is there already


def test_what_is_there_is_left_alone(maker, place, target):
    tree = tree_of(
        maker, maker.file("file", b"saved"), maker.file("other", b"o"), node("link", NodeType.LINK, target="file")
    )
    (target / "file").write_bytes(b"mine")
    (target / "link").write_bytes(b"mine too")
    done = restored(place, tree, target)
    assert sorted(done.kept) == ["file", "link"]
    assert (target / "file").read_bytes() == b"mine"
    assert (target / "link").read_bytes() == b"mine too"
    assert names(target) == ["file", "link", "other"]


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_file_that_appears_meanwhile_is_left_alone(maker, place, target, size):
    tree = tree_of(maker, maker.file("file", noise(size)))
    repository = opened(place)
    with Fetch(repository, 1) as fetch:
        restore = Restore(repository, target, fetch)
        walk = Versions(repository).walk(tree)

        def found():
            yield next(walk)
            (target / "file").write_bytes(b"mine")

        done = restore.run(found())
    assert done.kept == ["file"]
    assert (target / "file").read_bytes() == b"mine"
    assert names(target) == ["file"]


@pytest.mark.parametrize(("ours_is", "is_replaced"), [("older", True), ("newer", False), ("as old", False)])
def test_only_what_is_older(maker, place, target, ours_is, is_replaced):
    tree = tree_of(maker, maker.file("file", b"saved"))
    (target / "file").write_bytes(b"mine")
    second = {"older": -1, "newer": 1, "as old": 0}[ours_is]
    os.utime(target / "file", ns=(0, TIME_NS + second))
    done = restored(place, tree, target, overwrite=Overwrite.OLDER)
    assert (target / "file").read_bytes() == (b"saved" if is_replaced else b"mine")
    assert done.kept == ([] if is_replaced else ["file"])


def test_what_is_replaced_is_put_aside_first(maker, place, target):
    tree = tree_of(maker, maker.file("file", b"saved"), node("link", NodeType.LINK, target="x"), maker.file("new", b""))
    (target / "file").write_bytes(b"mine")
    (target / "link").write_bytes(b"mine too")
    aside: list[str] = []

    def put_aside(parent: int, name: bytes, path: str) -> None:
        os.rename(name, name + b".aside", src_dir_fd=parent, dst_dir_fd=parent)
        aside.append(path)

    done = restored(place, tree, target, overwrite=Overwrite.ALWAYS, put_aside=put_aside)
    assert (done.files, sorted(aside)) == (3, ["file", "link"])
    assert (target / "file.aside").read_bytes() == b"mine"
    assert (target / "link.aside").read_bytes() == b"mine too"
    assert os.readlink(target / "link") == "x"


def test_only_what_differs_is_read(maker, place, target):
    parts = [noise(100_000, seed) for seed in range(8)]
    tree = tree_of(maker, maker.file("file", *parts))
    (target / "file").write_bytes(b"".join([*parts[:3], noise(100_000, 99), *parts[4:]]) + b"longer")
    repository = opened(place)
    with Fetch(repository, 1) as fetch:
        walk = Versions(repository).walk(tree)
        done = Restore(repository, target, fetch, Overwrite.ALWAYS).run(walk)
        assert 100_000 < fetch.bytes_read < 102_000
    assert (target / "file").read_bytes() == b"".join(parts)
    assert done.here == 700_000


def test_a_file_that_is_there_already_is_not_written_but_gets_its_attributes(maker, place, target):
    tree = tree_of(maker, maker.file("file", noise(LARGE), mode=0o640))
    (target / "file").write_bytes(noise(LARGE))
    before = (target / "file").stat().st_ino
    done = restored(place, tree, target, overwrite=Overwrite.ALWAYS)
    status = (target / "file").stat()
    assert (status.st_ino, status.st_mode & 0o777, status.st_mtime_ns) == (before, 0o640, TIME_NS)
    assert (done.files, done.here) == (1, LARGE)


@pytest.mark.parametrize("in_the_way", ["link", "file"])
def test_what_is_in_the_way_is_not_followed_and_what_does_not_come_back_is_named(
    maker, place, target, tmp_path, in_the_way
):
    outside = tmp_path / "outside"
    outside.mkdir()
    tree = tree_of(maker, maker.directory("sub", maker.file("file", b"x"), maker.directory("deeper")), maker.file("b"))
    if in_the_way == "link":
        os.symlink(outside, target / "sub")
    else:
        (target / "sub").write_bytes(b"mine")
    for overwrite in Overwrite:
        done = restored(place, tree, target, overwrite=overwrite)
        assert [path for path, _ in done.missing] == ["sub", "sub/deeper", "sub/file"]
        assert all(in_the_way in reason or "not a directory" in reason for _, reason in done.missing)
    assert names(outside) == []
    assert (target / "b").exists()


@pytest.mark.parametrize("overwrite", [Overwrite.ALWAYS, Overwrite.OLDER])
def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(maker, place, target, tmp_path, overwrite):
    (tmp_path / "precious").write_bytes(b"precious")
    tree = tree_of(maker, maker.file("file", b"saved"))
    os.symlink(tmp_path / "precious", target / "file")
    os.utime(target / "file", ns=(0, 0), follow_symlinks=False)
    restored(place, tree, target, overwrite=overwrite)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (target / "file").is_symlink()
    assert (target / "file").read_bytes() == b"saved"


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_directory_in_the_place_of_a_file_stays(maker, place, target, overwrite):
    tree = tree_of(maker, maker.file("file", b"saved", mtime_ns=10**19), node("link", NodeType.LINK, target="x"))
    for name in ("file", "link"):
        (target / name).mkdir()
        (target / name / "mine").write_bytes(b"mine")
    done = restored(place, tree, target, overwrite=overwrite)
    assert names(target) == ["file", "file/mine", "link", "link/mine"]
    assert sorted([*done.kept, *(path for path, _ in done.missing)]) == ["file", "link"]


# --- names of one file


def test_a_second_name_is_never_given_to_a_file_of_the_users(maker, place, target):
    """The first name is taken by another file, which stays."""
    tree = tree_of(maker, *linked(maker.file("x", b"saved"), "a", "b", "c"))
    (target / "a").write_bytes(b"mine")
    done = restored(place, tree, target)
    assert done.kept == ["a"]
    assert [(target / name).read_bytes() for name in "abc"] == [b"mine", b"saved", b"saved"]
    assert (target / "b").stat().st_ino == (target / "c").stat().st_ino


def test_the_first_name_is_taken_while_its_content_is_on_its_way(maker, place, target):
    tree = tree_of(maker, *linked(maker.file("x", b"saved"), "a", "b", "c", "d"))
    repository = opened(place)
    with Fetch(repository, 1) as fetch:

        def found():
            for one in Versions(repository).walk(tree):
                if one.path == "b":
                    (target / "a").write_bytes(b"mine")
                yield one

        done = Restore(repository, target, fetch).run(found())
    assert (done.kept, done.missing, done.files) == (["a"], [], 3)
    assert (target / "a").read_bytes() == b"mine"
    assert [((target / name).read_bytes(), (target / name).stat().st_nlink) for name in "bcd"] == [(b"saved", 3)] * 3


def test_the_first_name_cannot_be_made(maker, place, target):
    one, other = linked(maker.file("x", b"saved"), "x", "z")
    tree = tree_of(maker, maker.directory("sub", one), other)
    (target / "sub").write_bytes(b"in the way")
    done = restored(place, tree, target)
    assert {path for path, _ in done.missing} == {"sub", "sub/x"}
    assert (target / "z").read_bytes() == b"saved"


def test_some_of_the_names_only(maker, place, target):
    tree = tree_of(maker, *linked(maker.file("x", b"saved"), "a", "b", "c"))
    restored(place, tree, target, "b", "c")
    assert names(target) == ["b", "c"]
    assert (target / "b").stat().st_ino == (target / "c").stat().st_ino


def test_names_of_one_file_whose_content_is_lost(maker, place, target):
    file = replace(maker.file("x", b"saved"), content=("ab" * 32,))
    tree = tree_of(maker, *linked(file, "a", "b"))
    done = restored(place, tree, target)
    assert sorted(path for path, _ in done.missing) == ["a", "b"]
    assert all("abababababab" in reason for _, reason in done.missing)
    assert names(target) == []


@pytest.mark.parametrize("times", [1, 2])
def test_each_name_in_turn_is_the_first_that_can_be_made(maker, place, target, times, monkeypatch):
    """Files in the way of directories; small batches, so that names meet in the same one and in later ones."""
    monkeypatch.setattr(assemblies, "FILES_MAX", times)
    ones = linked(maker.file("x", b"saved"), *"abcdef")
    lost = [maker.directory(f"0-{one.name}", one) for one in ones[:3]]
    tree = tree_of(maker, *(maker.directory(f"{one.name}-there", one) for one in ones[3:]), *lost)
    for one in lost:
        (target / one.name).write_bytes(b"in the way")
    done = restored(place, tree, target)
    assert (done.files, len(done.missing)) == (3, 6)
    paths = [target / f"{name}-there" / name for name in "def"]
    assert all(path.read_bytes() == b"saved" and path.stat().st_nlink == 3 for path in paths)
    assert all(path.parent.stat().st_mtime_ns == TIME_NS for path in paths)


@pytest.mark.parametrize("times", [1, 2])
def test_names_are_replaced(maker, place, target, times):
    tree = tree_of(maker, *linked(maker.file("x", b"saved"), "a", "b"))
    (target / "a").write_bytes(b"mine")
    (target / "b").write_bytes(b"mine, too")
    for _ in range(times):
        done = restored(place, tree, target, overwrite=Overwrite.ALWAYS)
        assert (done.files, done.missing, done.kept) == (2, [], [])
    assert (target / "a").stat().st_ino == (target / "b").stat().st_ino
    assert (target / "b").read_bytes() == b"saved"
    assert names(target) == ["a", "b"]


# --- what is damaged


def packs_with(place: Place, *blobs: bytes) -> set[str]:
    catalog = opened(place).catalog
    found = {pack for blob in blobs for pack, _ in catalog.find(BlobKind.DATA, hashlib.sha256(blob).digest())}
    assert found
    return found


@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_what_is_lost_is_named_exactly_and_nothing_wrong_comes_back(place, target, how, size):
    first, second = Maker(place), Maker(place)
    damaged = second.file("damaged", noise(size, 2), noise(size, 3))
    files = [first.file("good", noise(size)), damaged, first.file("fine", noise(size, 4), noise(size))]
    tree = first.tree(files)
    first.close()
    second.close()
    for pack in packs_with(place, noise(size, 2), noise(size, 3)):
        place.damage(f"data/{pack[:2]}/{pack}", how)
    done = restored(place, tree, target)
    # Without the last byte a table of contents cannot be read, and nobody needs it who has an index.
    lost = [] if how == "cut" else ["damaged"]
    assert [path for path, _ in done.missing] == lost
    assert names(target) == sorted({"good", "damaged", "fine"} - {*lost})
    for file in names(target):
        parts = {"good": (1,), "damaged": (2, 3), "fine": (4, 1)}[file]
        assert (target / file).read_bytes() == b"".join(noise(size, seed) for seed in parts)


def test_one_bit_anywhere_in_a_pack_of_contents(place, target, tmp_path):
    maker = Maker(place)
    tree = tree_of(maker, maker.file("file", noise(900), noise(900, 2)), maker.file("text", b"words " * 400))
    rng = random.Random(4)
    names_of_packs = [
        f"data/{pack[:2]}/{pack}" for pack in packs_with(place, noise(900), noise(900, 2), b"words " * 400)
    ]
    contents = {"file": noise(900) + noise(900, 2), "text": b"words " * 400}
    lost = 0
    for number in range(120):
        name = rng.choice(names_of_packs)
        data, time = place.blobs[name]
        at = rng.randrange(len(data))
        place.blobs[name] = (data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :], time)
        here = tmp_path / str(number)
        done = restored(place, tree, here)
        place.blobs[name] = (data, time)
        missing = {path for path, _ in done.missing}
        lost += len(missing)
        assert set(names(here)) == set(contents) - missing
        assert all((here / path).read_bytes() == contents[path] for path in contents.keys() - missing)
    assert lost > 80


def test_a_blob_that_another_pack_has_whole_is_taken_from_there(place, target):
    maker = Maker(place)
    tree = tree_of(maker, maker.file("file", noise(5000)))
    before = packs_with(place, noise(5000))
    repository = place.repository()
    repository.missing = before
    again = Maker(place)
    again._writer.repository.missing.update(before)
    again.file("file", noise(5000))
    again.close()
    assert len(packs_with(place, noise(5000))) == 2
    for pack in before:
        for how in ("flipped", "gone"):
            saved = dict(place.blobs)
            place.damage(f"data/{pack[:2]}/{pack}", how)
            done = restored(place, tree, target, overwrite=Overwrite.ALWAYS)
            assert (done.missing, (target / "file").read_bytes()) == ([], noise(5000))
            (target / "file").unlink()
            place.blobs.update(saved)


@pytest.mark.parametrize("raw_length", [0, 1, 799, 801, 5000, 1 << 31])
def test_an_index_that_lies_about_a_length_brings_no_wrong_byte(place, target, raw_length):
    maker = Maker(place)
    words = b"words and " * 80
    tree = tree_of(maker, maker.file("file", words, b"end", size=max(0, raw_length - 797 + 800) or 803))
    repository = opened(place)
    for name in sorted(repository.catalog.index_names()):
        index = IndexFile.decode(repository.read_unpacked(Kind.INDEX, name), name)
        wanted = hashlib.sha256(words).digest()
        for blobs in index.packs.values():
            blobs[:] = [replace(blob, raw_length=raw_length or None) if blob.id == wanted else blob for blob in blobs]
        repository.objects.delete(Kind.INDEX, name)
        repository.write_unpacked(Kind.INDEX, index.encode())
    done = restored(place, tree, target)
    assert [path for path, _ in done.missing] == ["file"]
    assert names(target) == []


def test_parts_that_do_not_make_the_size(place, target):
    maker = Maker(place)
    tree = tree_of(maker, maker.file("short", b"abc", size=4), maker.file("long", b"abc", size=2))
    done = restored(place, tree, target)
    assert {path for path, _ in done.missing} == {"short", "long"}
    assert names(target) == []


# --- what goes wrong on this side


@pytest.mark.parametrize("size", [20_000, LARGE])
def test_a_full_disk_says_so_and_leaves_no_half_file(place, small_disk, size):
    maker = Maker(place)
    tree = tree_of(
        maker, *(maker.file(f"file-{number:03}", noise(size, number)) for number in range(3_000_000 // size))
    )
    with pytest.raises(NoLocalSpace):
        restored(place, tree, small_disk)
    for name in names(small_disk):
        assert (small_disk / name).read_bytes() == noise(size, int(name))


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of ours may be larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_may_not_be_so_large_is_missing_and_the_others_are_whole(place, target):
    maker = Maker(place)
    parts = [noise(1 << 20, seed) for seed in range(6)]
    files = [maker.file(name, *parts[:count]) for name, count in (("a", 1), ("b", 5), ("c", 2), ("d", 6), ("e", 1))]
    tree = tree_of(maker, *files, maker.file("small", b"small"))
    with files_up_to(3 << 20):
        done = restored(place, tree, target)
    assert [path for path, _ in done.missing] == ["b", "d"]
    assert names(target) == ["a", "c", "e", "small"]
    assert all((target / name).read_bytes() == b"".join(parts[:count]) for name, count in (("a", 1), ("c", 2)))


@pytest.mark.parametrize("error", [Crash, KeyboardInterrupt, Unreachable])
@pytest.mark.parametrize("nth", range(5))
def test_what_ends_it_in_the_middle_leaves_no_half_file(place, target, nth, error):
    maker = Maker(place)
    sizes = [300, LARGE, 5, 2 * LARGE, 40_000]
    tree = tree_of(maker, *(maker.file(f"{number}", noise(size)) for number, size in enumerate(sizes)))
    repository = opened(place)
    with Fetch(repository, 2) as fetch:
        walk = Versions(repository).walk(tree)

        def found():
            for number, one in enumerate(walk):
                if number == nth:
                    raise error(where="memory:", reason="on purpose") if error is Unreachable else error
                yield one

        with pytest.raises(error):
            Restore(repository, target, fetch).run(found())
    assert names(target) == []


@pytest.mark.parametrize("nth", range(3))
def test_a_report_that_ends_it(place, target, nth):
    maker = Maker(place)
    tree = tree_of(maker, *(maker.file(f"{number}", noise(300 + number)) for number in range(5)))

    def report(files: int, size: int) -> None:
        if files == nth + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restored(place, tree, target, report=report)
    assert names(target) == [str(number) for number in range(nth + 1)]
    assert all((target / name).read_bytes() == noise(300 + int(name)) for name in names(target))


def test_a_process_that_is_killed_leaves_no_half_file_under_a_name(place, target, tmp_path):
    """Where nobody can clean up, what is left bears a temporary name."""
    maker = Maker(place)
    tree = tree_of(maker, *(maker.file(f"{number:02}", noise(LARGE, number)) for number in range(8)))
    for seconds_worth in range(6):
        here = tmp_path / f"killed-{seconds_worth}"
        here.mkdir()
        child = os.fork()
        if child == 0:
            try:
                done = 0

                def report(files: int, size: int, limit: int = seconds_worth) -> None:
                    if files > limit:
                        os.kill(os.getpid(), 9)

                restored(place, tree, here, report=report)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == 9
        done = [name for name in names(here) if name.isdecimal()]
        assert len(done) == seconds_worth + 1
        assert all((here / name).read_bytes() == noise(LARGE, int(name)) for name in done)


def test_a_target_that_is_not_there(place, tmp_path):
    maker = Maker(place)
    tree = tree_of(maker, maker.file("a", b"a"))
    repository = opened(place)
    with Fetch(repository, 1) as fetch, pytest.raises(LocalError):
        Restore(repository, tmp_path / "nowhere", fetch).run(Versions(repository).walk(tree))


# --- what only some may do


@pytest.fixture
def public_target() -> Iterator[Path]:
    """A directory that every user can reach; those pytest makes are closed to others."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o777)
        yield Path(made)


@pytest.fixture
def as_anybody() -> Callable[[Callable[[], None]], None]:
    """Runs a part of a test as a user who may do little: in a process of its own where we are root."""

    def run(part: Callable[[], None]) -> None:
        if not IS_ROOT:
            part()
            return
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                part()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0

    return run


def test_what_may_not_be_given_is_told_and_the_rest_comes_back(place, public_target, as_anybody):
    target = public_target

    def part() -> None:
        maker = Maker(place)
        other = {"uid": os.getuid() + 1, "gid": os.getgid() + 1}
        files = [
            maker.file("theirs", b"a", **other),
            maker.file("set-uid", b"a", mode=0o6755, **other),
            maker.file("my-set-uid", b"a", mode=0o4755),
            node("block", NodeType.BLOCK_DEVICE, device=1792),
            node("pipe", NodeType.FIFO),
            maker.file("capable", b"a", xattrs=(("security.capability", b"\1\0\0\2" + bytes(16)),)),
            maker.directory("locked", maker.file("inside", b"x"), mode=0),
        ]
        done = restored(place, tree_of(maker, *files), target)
        assert [path for path, _ in done.missing] == ["block"]
        assert {path for path, _ in done.imperfect} == {"set-uid", "capable"}
        modes = [(target / name).stat().st_mode & 0o7777 for name in ("theirs", "set-uid", "my-set-uid", "locked")]
        assert modes == [0o644, 0o755, 0o4755, 0]
        (target / "locked").chmod(0o700)
        assert (target / "locked/inside").read_bytes() == b"x"

    as_anybody(part)


def test_a_file_that_may_not_be_read_is_replaced(place, public_target, as_anybody):
    target = public_target

    def part() -> None:
        maker = Maker(place)
        tree = tree_of(maker, maker.file("file", b"saved"), maker.file("large", noise(LARGE)))
        for name in ("file", "large"):
            (target / name).write_bytes(b"mine")
            (target / name).chmod(0)
        done = restored(place, tree, target, overwrite=Overwrite.ALWAYS)
        assert (done.missing, (target / "file").read_bytes()) == ([], b"saved")
        assert (target / "large").read_bytes() == noise(LARGE)
        assert names(target) == ["file", "large"]

    as_anybody(part)


def test_into_a_directory_that_may_not_be_written_to(place, public_target, as_anybody):
    target = public_target

    def part() -> None:
        maker = Maker(place)
        tree = tree_of(maker, maker.directory("sub", maker.file("file", b"saved")), maker.file("b", b"b"))
        (target / "sub").mkdir(mode=0o500)
        done = restored(place, tree, target)
        assert [path for path, _ in done.missing] == ["sub/file"]
        assert (target / "b").exists()

    as_anybody(part)


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
@pytest.mark.parametrize("kind", [NodeType.BLOCK_DEVICE, NodeType.CHARACTER_DEVICE, NodeType.SOCKET, NodeType.FIFO])
def test_special_files(place, target, kind):
    maker = Maker(place)
    device = 0 if kind in (NodeType.SOCKET, NodeType.FIFO) else os.makedev(7, 300)
    tree = tree_of(maker, node("special", kind, device=device, mode=0o640, uid=12, gid=34))
    assert not restored(place, tree, target).missing
    status = (target / "special").lstat()
    assert (status.st_rdev, status.st_uid, status.st_gid, status.st_mode & 0o777) == (device, 12, 34, 0o640)
    assert status.st_mtime_ns == TIME_NS


def test_progress_never_goes_back(place, target):
    maker = Maker(place)
    tree = tree_of(maker, *(maker.file(f"{number}", noise(1000 * number)) for number in range(20)))
    seen: list[tuple[int, int]] = []
    restored(place, tree, target, report=lambda files, size: seen.append((files, size)))
    assert seen == sorted(seen)
    assert seen[-1] == (20, 190_000)
