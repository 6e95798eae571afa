"""3.5: crashes, errors of input and output, partial data: the old or the new, never a part, and it goes on alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from ..endtoend.places import Place, directory_place, place_on
from ..endtoend.program import WITHOUT_PRIVILEGES, Ending
from ..endtoend.station import Station
from ..servers import Server
from .messenger import ALL, CHANGING, FETCHING, UPLOADS, Fault, Kind, Messenger
from .trio import Member, Trio, conflict_copies, noise

REQUESTS_MAX = 40
"""Far above what a pass over one page asks for; a sweep that comes here does not end."""

SCENE = {f"d{number % 3}/{number}": noise(f"{number}", 3000 + number) for number in range(9)}


class Carried(Trio):
    """A trio whose requests to a server go through a messenger; `max retries` is 0 unless said otherwise."""

    def __init__(self, station: Station, directory: Path, server: Server, keys: Mapping[str, object]) -> None:
        place = place_on(server)
        self.messenger = Messenger(place.relay.port)
        super().__init__(station, directory, place.at_port(self.messenger.port), {"max_retries": 0, **keys})

    def unharmed(self, member: Member) -> Ending:
        """A pass that nothing happens to."""
        self.messenger.calm()
        return member.once()

    def sweep(self, kind: Kind | Callable[[int], Kind], verbs: tuple[str, ...]) -> Iterator[tuple[int, Fault]]:
        """A fault for the first request, for the second, and so on; ends after the one that met no request."""
        for number in range(REQUESTS_MAX):
            fault = self.messenger.strike(kind(number) if callable(kind) else kind, verbs, skip=number)
            yield number, fault
            self.messenger.calm()
            if not fault.struck:
                return
        raise AssertionError("there is no end of requests")


@pytest.fixture
def carried(server: Callable[[str], Server], station: Station, tmp_path: Path) -> Iterator[Callable[..., Carried]]:
    """`carried(**keys)`: a trio behind a messenger, on Apache."""
    with ExitStack() as ending:

        def made(**keys: object) -> Carried:
            made = Carried(station, tmp_path, server("apache"), keys)
            ending.enter_context(made.messenger)
            return made

        yield made


@pytest.mark.real("apache")
def test_s69_an_upload_that_is_cut_at_half(carried):
    """GIVEN each upload in turn breaks in the middle THEN others see the old or the new, the next pass completes it,
    and nothing is left."""
    t = carried()
    t.begin(SCENE)
    for number, fault in t.sweep("torn", UPLOADS):
        before = t.b.tree()
        t.a.put("d0/0", f"number {number}" * 100)
        t.a.pass_().expect(0, 13)
        t.unharmed(t.b)
        assert t.b.tree() in (before, t.a.tree())
        t.a.once()
        t.unharmed(t.b)
        assert t.b.tree() == t.a.tree(), fault.struck
        t.unharmed(t.c)
    assert number > 3, "lock, archive, update, index"
    t.settle()


@pytest.mark.real("apache")
@pytest.mark.parametrize("who", ["pusher", "puller"])
def test_s70_done_but_the_answer_is_lost(carried, who):
    """GIVEN each change of the relay in turn is done and its answer lost THEN the next pass goes on from there."""
    t = carried()
    t.leave(t.c)
    t.begin(SCENE)
    for number, fault in t.sweep("lost", CHANGING):
        t.a.put("d0/0", f"number {number}")
        if who == "pusher":
            t.a.pass_().expect(0, 13)
            t.unharmed(t.a)
        else:
            t.unharmed(t.a)
            t.messenger.restore(fault)
            t.b.pass_().expect(0, 13)
        t.unharmed(t.b)
        assert t.b.tree() == t.a.tree(), fault.struck
    assert number > (5 if who == "pusher" else 2)
    assert conflict_copies(t.settle()) == []


@pytest.mark.real("apache")
def test_s70_a_retry_of_what_was_done_is_no_second_time(carried):
    """GIVEN the answer to a change is lost WHEN it is repeated at once THEN the pass is like any other."""
    t = carried(max_retries=1)
    t.begin(SCENE)
    for verb in ("PUT", "MOVE", "DELETE"):
        t.a.put("d0/0", f"after {verb}")
        fault = t.messenger.strike("lost", (verb,))
        t.a.once()
        assert fault.struck
        for member in (t.b, t.c):
            t.unharmed(member)
    assert conflict_copies(t.settle()) == []


@pytest.mark.real("apache")
@pytest.mark.parametrize("kind", ["cut", "flipped"])
def test_s71_what_arrives_damaged_is_never_applied(carried, kind):
    """GIVEN each answer in turn arrives cut, or with one bit changed THEN the folder has the old or the new, the
    damage is told or read over again, and the next pass has it all."""
    t = carried(compression="none")
    t.leave(t.c)
    t.begin(SCENE)
    for number, fault in t.sweep(kind, FETCHING):
        before = t.b.tree()
        t.a.put("d0/0", noise(f"number {number}", 20_000))
        t.unharmed(t.a)
        t.messenger.restore(fault)
        t.b.pass_().expect(0, 1, 3, 13)
        assert t.b.tree() in (before, t.a.tree()), fault.struck
        for member in (t.b, t.a, t.b):
            t.unharmed(member)
        assert t.b.tree() == t.a.tree(), fault.struck
    assert number > 2, "index, update, archive"
    assert conflict_copies(t.settle()) == []


@pytest.mark.usefixtures("clocks")
@pytest.mark.parametrize(("role", "damage"), [("data", "cut"), ("update", "cut"), ("index", "empty")])
def test_s71_what_lies_damaged_on_the_relay_is_sent_again(trio, role, damage):
    """GIVEN a blob that is damaged where it lies THEN nothing of it is applied, and all is delivered: at once if others
    can be asked, after `lock timeout` if it might be somebody's who is at work."""
    t = trio(compression="none")
    t.begin(SCENE)
    t.a.put("d0/0", noise("new", 20_000))
    t.a.put("new", "new")
    t.a.once()
    wanted, before = t.a.tree(), t.b.tree()
    (blob,) = (t.place.relay.path / name for name in t.place.names() if f".{role}" in name)
    content = blob.read_bytes()
    blob.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    t.b.pass_().expect(0 if role == "data" else 1, 3)
    for path, node in t.b.tree().items():
        assert node in (before.get(path), wanted.get(path)), path
    t.a.pass_().expect(0, 1, 3)
    t.c.pass_().expect(0, 1, 3)
    for member in t.members:
        member.jumps = 1
    for _ in range(3):
        for member in t.members:
            member.pass_().expect(0, 1, 3)
    assert t.settle() == wanted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; `resize` makes it larger."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(mount)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: no small file system can be mounted here")
    yield mount
    subprocess.run(["umount", "--lazy", str(mount)], check=True)


def resize(mount: Path, size: str) -> None:
    """More room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(mount)], check=True)


def test_s72_a_disk_that_fills_up_while_a_change_arrives(trio, small_disk):
    """GIVEN new, changed, moved and deleted files WHEN B has room for half of them THEN each path of B is as before or
    as wanted, nothing is registered; with room all is done, and C never noticed."""
    t = trio(compression="none")
    t.leave(t.b)
    folder = small_disk / "b"
    folder.mkdir()
    t.b = t.join("b2", local_path=folder)
    t.b.folder = folder
    before = t.begin({f"d/{number}": noise(f"{number}", 40_000 + number) for number in range(10)})
    t.a.put("d/0", noise("changed", 50_000))
    t.a.delete("d/1")
    t.a.move("d/2", "e/2")
    for number in range(30):
        t.a.put(f"new/{number}", noise(f"new {number}", 100_000))
    t.a.once()
    t.c.once()
    assert t.c.tree() == t.a.tree()
    ended = t.b.pass_().expect(14)
    assert "full" in ended.stderr
    for path, node in t.b.tree().items():
        assert node in (before.get(path), t.a.tree().get(path)), path
    for path in ("d/0", "d/1", "d/2"):
        is_there = t.b.tree().get(path) == before[path]
        assert is_there or path in t.b.trash() or t.a.tree().get(path) == t.b.tree().get(path), f"{path} is lost"
    assert t.place.has("data"), "marked as received without being there"
    wanted = t.a.tree()
    resize(small_disk, "50m")
    assert t.settle() == wanted


def test_s72_deletions_need_no_room(trio, small_disk):
    """GIVEN a disk without a free byte WHEN others delete and move THEN what is deleted goes; what moved, whose old
    version stays in the trash, waits for room and is lost at no time."""
    t = trio()
    t.leave(t.b)
    folder = small_disk / "b"
    folder.mkdir()
    t.b = t.join("b2", local_path=folder)
    t.b.folder = folder
    before = t.begin({f"d/{number}": noise(f"{number}", 40_000 + number) for number in range(10)})
    fill_to_the_last_byte(small_disk / "something else")
    t.a.delete("d/1")
    t.a.once()
    t.b.once()
    assert t.b.tree() == t.a.tree()
    t.a.move("d/2", "d/moved")
    t.a.once()
    t.b.pass_().expect(0, 14)
    assert "d/2" in t.b.tree() or "d/2" in t.b.trash()
    (small_disk / "something else").unlink()
    assert t.contents(without_data=True)["d/moved"] == before["d/2"].content


def fill_to_the_last_byte(path: Path) -> None:
    """Until the disk has no room for more."""
    with open(path, "wb", buffering=0) as target, suppress(OSError):
        while target.write(b"x" * 4096):
            pass


def test_s73_a_relay_that_fills_up_in_the_middle_of_an_archive(trio, small_disk):
    """GIVEN a relay with room for half of a change THEN nobody sees any of it and nothing is left; with room it goes on
    by itself."""
    t = trio(directory_place(small_disk / "relay"), compression="none")
    before = t.begin(SCENE)
    for number in range(30):
        t.a.put(f"new/{number}", noise(f"new {number}", 100_000))
    t.a.delete("d0/0")
    ended = t.a.pass_().expect(14)
    assert "full" in ended.stderr
    assert not t.place.unrest(), "what did not fit was left there"
    t.b.once()
    assert {path for path in before if path not in t.b.tree()} <= {"d0/0"}
    assert {path for path in t.b.tree() if path not in before} <= {"new"}
    wanted = t.a.tree()
    resize(small_disk, "50m")
    assert t.settle() == wanted


@pytest.mark.real("apache")
def test_s73_a_server_that_says_it_is_full(carried):
    """GIVEN 507 for each upload in turn THEN one sentence, and the next pass goes on."""
    t = carried()
    t.leave(t.c)
    t.begin(SCENE)
    for number, fault in t.sweep(507, UPLOADS):
        t.a.put("d0/0", f"number {number}")
        ended = t.a.pass_().expect(14 if fault.struck else 0)
        assert "full" in ended.stderr or not fault.struck
        for member in (t.a, t.b):
            t.unharmed(member)
        assert t.b.tree() == t.a.tree(), fault.struck
    assert number > 3
    t.settle()


@pytest.mark.real("apache")
def test_s74_one_request_is_refused(carried):
    """GIVEN a server that refuses one request, whichever, with 401 or 403 and is fine again THEN nobody has to do
    anything, and nothing was lost or deleted."""
    t = carried()
    t.leave(t.c)
    t.begin(SCENE)
    t.b.put("n0", "moves on")
    for number, fault in t.sweep(lambda number: 403 if number % 2 else 401, ALL):
        t.b.put("d0/0", f"number {number}")
        t.b.move(f"n{number}", f"n{number + 1}")
        t.b.pass_().expect(12 if fault.kind == 401 else 77, 0)
        t.unharmed(t.b)
        t.a.put("by a", f"number {number}")
        for member in (t.a, t.b):
            t.unharmed(member)
        assert t.b.tree() == t.a.tree(), fault.struck
    assert number > 6
    assert conflict_copies(t.settle()) == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_s75_a_file_that_is_rewritten_while_it_is_read(trio, share):
    """GIVEN a large file WHEN it is rewritten while its archive is being made THEN nobody ever has a mixture, and in
    the end all have the last version."""
    size = 12_000_000
    t = trio(compression="none")
    t.begin({"volatile": b"0" * size, "calm": "calm"})
    (t.a.folder / "volatile").write_bytes(b"1" * size)
    running = t.a.start_pass()
    reached = False
    while running[0].code() is None and not reached:
        with suppress(FileNotFoundError):
            # It may get its name at this moment.
            reached = sum(path.stat().st_size for path in begun(t.place)) > share * size
    with open(t.a.folder / "volatile", "r+b", buffering=0) as target:
        target.write(b"2" * size)
    t.a.finish_pass(running).expect(0, 3)
    for member in (t.b, t.c):
        member.once()
        assert len(set(member.read("volatile"))) == 1, "a mixture"
    assert t.contents() == {"volatile": b"2" * size, "calm": b"calm"}


def begun(place: Place) -> list[Path]:
    """Uploads under way, in a directory."""
    return [path for path in (place.relay.path / name for name in place.names()) if path.exists()]


def test_s75_files_that_come_and_go_during_a_pass(trio):
    """GIVEN passes of two clients WHEN fifty files are made and fifty deleted meanwhile THEN none is lost, none is
    back."""
    t = trio(compression="none")
    t.begin({f"old/{number}": noise(f"{number}", 20_000) for number in range(100)})
    t.a.put("large", noise("large", 3_000_000))
    for member in (t.a, t.b):
        running = member.start_pass()
        for number in range(50):
            t.a.put(f"new/{member.name}/{number}", f"{member.name} {number}")
        t.a.delete(*(f"old/{number}" for number in range(10) if member is t.a))
        t.b.put(f"new by b/{member.name}", "by b")
        member.finish_pass(running).expect(0, 3)
    found = t.contents()
    assert sum(path.startswith("new/") for path in found) == 100
    assert sorted(path for path in found if path.startswith("new by b")) == ["new by b/a", "new by b/b"]
    assert sum(path.startswith("old/") for path in found) == 90
    assert conflict_copies(found) == []


@pytest.mark.parametrize("shut", ["file", "directory"])
def test_s76_what_cannot_be_read_is_told_and_stops_nobody(trio, shut):
    """GIVEN a file or a directory that must not be read any more THEN all else goes on, nothing is taken for deleted,
    it is told with exit code 3, and tried again."""
    t = trio()
    t.a.wrapper = WITHOUT_PRIVILEGES
    t.begin({"shut/file": "before", "shut/other": "other", "open": "before, too"})
    path = t.a.folder / ("shut/file" if shut == "file" else "shut")
    t.a.put("shut/file", "changed on A")
    t.a.put("open", "changed")
    mode = path.stat().st_mode & 0o777
    path.chmod(0)
    for _ in range(2):
        ended = t.a.pass_().expect(3)
        assert "permission denied" in ended.stderr
        t.b.once()
        t.c.once()
    for member in (t.b, t.c):
        assert (member.read("open"), member.read("shut/file")) == (b"changed", b"before")
    path.chmod(mode)
    assert t.contents() == {"shut/file": b"changed on A", "shut/other": b"other", "open": b"changed"}


def test_s76_a_directory_that_must_not_be_written_to(trio):
    """GIVEN a directory of B without the right to write THEN what belongs there waits, all else arrives."""
    t = trio()
    t.b.wrapper = WITHOUT_PRIVILEGES
    t.begin({"shut/file": "before", "shut/deleted": "to be deleted", "open": "before, too"})
    t.a.put("shut/file", "changed on A")
    t.a.put("shut/new", "new")
    t.a.delete("shut/deleted")
    t.a.put("open", "changed")
    (t.b.folder / "shut").chmod(0o555)
    t.a.once()
    t.b.pass_().expect(3)
    assert t.b.read("open") == b"changed"
    assert t.b.read("shut/file") in (b"before", b"changed on A")
    (t.b.folder / "shut").chmod(0o755)
    assert t.contents() == {"shut/file": b"changed on A", "shut/new": b"new", "open": b"changed"}


@pytest.mark.parametrize("fate", ["changed", "deleted"])
def test_s76_a_file_that_is_busy(trio, fate):
    """GIVEN a file of B that the system holds in its place (EBUSY) THEN it waits, all else arrives."""
    t = trio()
    t.begin({"busy": "before", "open": "before, too"})
    busy = t.b.folder / "busy"
    if subprocess.run(["mount", "--bind", str(busy), str(busy)], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: nothing can be mounted here")
    try:
        t.a.put("open", "changed")
        t.a.put("busy", "changed, too") if fate == "changed" else t.a.delete("busy")
        t.a.once()
        ended = t.b.pass_().expect(3)
        assert "busy" in ended.stderr
        assert (t.b.read("open"), t.b.read("busy")) == (b"changed", b"before")
    finally:
        subprocess.run(["umount", str(busy)], check=True)
    assert t.contents() == {"open": b"changed", **({"busy": b"changed, too"} if fate == "changed" else {})}


def _on_relay(t: Trio, part: str) -> bool:
    return any(part in name for name in t.place.names())


def _in_private(t: Trio, pattern: str) -> bool:
    return any((t.b.folder / ".escale").glob(pattern))


MOMENTS = {
    "a lock": ("a", partial(_on_relay, part=".lock")),
    "an upload": ("a", partial(_on_relay, part=".part-")),
    "the archive": ("a", partial(_on_relay, part=".data.")),
    "its name": ("a", partial(_on_relay, part=".update.")),
    "something staged": ("b", partial(_in_private, pattern="staging*/*")),
    "something in the trash": ("b", partial(_in_private, pattern="trash/*/*")),
    "something new": ("b", lambda t: (t.b.folder / "new").exists()),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_in_the_middle(trio, moment):
    """GIVEN new, changed, moved, deleted files, directories and links WHEN pusher or puller dies THEN as if not."""
    t = trio(compression="none")
    t.begin({f"d{number % 3}/{number}": noise(f"{number}", 30_000 + number) for number in range(60)})
    t.a.put("d0/0", noise("changed", 50_000))
    t.a.delete("d1/1", "d2/2")
    t.a.move("d0/3", "e/3")
    t.a.move("d1", "dd")
    (t.a.folder / "link").symlink_to("d0/0")
    for number in range(20):
        t.a.put(f"new/{number}", noise(f"new {number}", 100_000))
    wanted = t.a.tree()
    who, is_now = MOMENTS[moment]
    if who == "b":
        t.a.once()
    getattr(t, who).pass_killed_when(lambda: is_now(t))
    assert t.settle() == wanted
    assert not _in_private(t, "staging*/*")
