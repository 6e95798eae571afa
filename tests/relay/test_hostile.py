"""A relay in the worst hands: nothing it holds makes a client write elsewhere, die, lie or lose a file."""

from __future__ import annotations

import bz2
import io
import tarfile

import pytest

from escale.errors import EscaleError, RelayInUse
from escale.seal import Key, StreamSeal
from tests.world import World

KEY = Key.generate()


@pytest.fixture(params=["clear", "sealed"])
def world(request, tmp_path):
    sealed = request.param == "sealed"
    keyed = {"seal": StreamSeal(KEY), "fingerprint": KEY.fingerprint} if sealed else {}
    world = World(tmp_path / "w", **keyed)
    yield world
    world.close()


def pair(world):
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("precious.txt", "the first version, which everybody has")
    world.settle()
    return alice, bob


def names(world, word):
    return [name for name in world.blobs if word in name]


def replace_blob(world, name, data):
    world.blobs[name] = (data, world.clock.now())


DAMAGE = {
    "empty": lambda data: b"",
    "cut in the middle": lambda data: data[: len(data) // 2],
    "one byte missing at the end": lambda data: data[:-1],
    "one bit flipped": lambda data: bytes(byte ^ (at == len(data) // 2) for at, byte in enumerate(data)),
    "garbage": lambda data: b"\x00garbage" * 50,
    "something after the end": lambda data: data + b"more",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_archive_is_told_never_applied_and_sent_again(world, damage):
    alice, bob = pair(world)
    alice.write("new.txt", "content " * 500)
    alice.sync()
    (archive,) = names(world, ".data.")
    before = world.blobs[archive][0]
    replace_blob(world, archive, damage(before))
    result = bob.sync()
    if bob.files().get("new.txt") is None:
        assert result.exit_code != 0
        assert any("new.txt" in str(event) or event.type == "problem" for event in bob.events)
    world.settle(12)
    assert bob.files() == alice.files()
    assert bob.read("new.txt") == b"content " * 500
    assert world.holds_only_indices()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("role", [".index.", ".update."])
def test_a_damaged_index_stops_the_page_with_one_sentence_and_touches_no_file(world, role, damage):
    alice, bob = pair(world)
    alice.write("new.txt", "content")
    alice.sync()
    (index,) = names(world, role)
    good = world.blobs[index]
    replace_blob(world, index, damage(good[0]))
    bob.stop()
    result = bob.sync()
    assert result.problems == 1 and result.exit_code != 0
    (problem,) = [event for event in bob.events if event.type == "problem"]
    assert "\n" not in problem.message and problem.code
    assert bob.files() == {"precious.txt": b"the first version, which everybody has"}
    world.blobs[index] = good
    world.settle(12)
    assert bob.files() == alice.files()


def hostile(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return bz2.compress(raw.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


TRICKS = {
    "parent": hostile((member("../escaped"), b"x")),
    "absolute": hostile((member("/tmp/escaped"), b"x")),
    "symlink": hostile(member("new.txt", tarfile.SYMTYPE, "/etc/passwd"), (member("new.txt/x"), b"x")),
    "symlinked directory": hostile(member("d", tarfile.SYMTYPE, ".."), (member("d/escaped"), b"x")),
    "hard link": hostile(member("new.txt", tarfile.LNKTYPE, "precious.txt")),
    "device": hostile(member("new.txt", tarfile.CHRTYPE)),
    "pipe": hostile(member("new.txt", tarfile.FIFOTYPE)),
    "own directory": hostile((member(".escale/ledger"), b"x")),
    "bomb": bz2.compress(bytes(300 << 20)),
}


@pytest.mark.parametrize("archive", TRICKS.values(), ids=TRICKS.keys())
def test_a_hostile_archive_writes_nothing_outside_and_breaks_nothing(tmp_path, archive):
    world = World(tmp_path / "w")
    alice, bob = pair(world)
    alice.write("new.txt", "honest")
    alice.sync()
    (name,) = names(world, ".data.")
    replace_blob(world, name, archive)
    outside = {path for path in tmp_path.rglob("*") if "escaped" in path.name}
    bob.sync()
    assert not outside and not any("escaped" in path.name for path in tmp_path.rglob("*"))
    assert bob.files() == {"precious.txt": b"the first version, which everybody has"}
    assert any(event.type == "problem" for event in bob.events)
    world.settle(12)
    assert bob.files() == alice.files()
    world.close()


def test_a_symlink_in_the_folder_is_not_followed_out_of_it(world, tmp_path):
    alice, bob = pair(world)
    outside = tmp_path / "outside"
    outside.mkdir()
    (bob.folder / "link").symlink_to(outside, target_is_directory=True)
    alice.write("link/file.txt", "must not leave bob's folder")
    alice.sync()
    result = bob.sync()
    assert not any(outside.iterdir())
    assert result.conflicts == 1
    world.settle(12)
    assert bob.read("link/file.txt") == b"must not leave bob's folder"
    assert alice.tree() == bob.tree()
    assert [node[0] for path, node in alice.tree().items() if "conflict" in path] == ["link"]
    assert not any(outside.iterdir())


def test_sealed_blobs_show_nothing_and_cannot_change_places(tmp_path):
    world = World(tmp_path / "w", seal=StreamSeal(KEY), fingerprint=KEY.fingerprint, levels=1)
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("secretdir/secretname.txt", "secret content")
    alice.write("otherdir/other.txt", "other content")
    alice.sync()
    visible = b"".join(name.encode() + data for name, (data, _) in world.blobs.items())
    for word in (b"secret", b"other", b"alice", b"bob"):
        assert word not in visible
    one, two = sorted(names(world, ".data."))
    world.blobs[one], world.blobs[two] = world.blobs[two], world.blobs[one]
    bob.sync()
    assert bob.files() == {}
    assert any(event.type == "problem" and event.code == "K211" for event in bob.events)
    world.settle(16)
    assert bob.files() == alice.files()
    world.close()


def test_an_old_update_that_returns_changes_nothing(world):
    alice, bob = world.machine("alice"), world.machine("bob")
    alice.write("a.txt", "one")
    alice.sync()
    old = {name: world.blobs[name] for word in (".update.", ".data.", ".index.") for name in names(world, word)}
    world.settle()
    alice.write("a.txt", "two, the current one")
    world.settle()
    world.blobs.update(old)
    bob.stop()
    world.settle(12)
    assert alice.files() == bob.files() == {"a.txt": b"two, the current one"}


def test_a_wrong_key_is_one_sentence_and_nothing_is_sent(tmp_path):
    world = World(tmp_path / "w", seal=StreamSeal(KEY), fingerprint=KEY.fingerprint)
    pair(world)
    stranger_key = Key.generate()
    world.seal, world.fingerprint = StreamSeal(stranger_key), stranger_key.fingerprint
    stranger = world.machine("stranger")
    stranger.write("mine.txt", "not for them")
    before = dict(world.blobs)
    with pytest.raises(EscaleError) as caught:
        stranger.sync()
    assert caught.value.code == "K210" and caught.value.exit_code == 12
    assert KEY.fingerprint in str(caught.value) and stranger_key.fingerprint in str(caught.value)
    assert world.blobs == before
    world.close()


@pytest.mark.parametrize("name", [".0.index", ".0.1700000000.data", ".0.lock"])
def test_a_relay_of_the_other_format_is_left_alone(tmp_path, name):
    world = World(tmp_path / "w")
    alice = world.machine("alice")
    alice.write("a.txt", "mine")
    world.blobs[name] = (b"theirs", 0.0)
    with pytest.raises(RelayInUse) as caught:
        alice.sync()
    assert caught.value.code == "R340" and "0.7" in str(caught.value)
    assert set(world.blobs) == {name}


def test_a_format_07_client_leaves_a_format_1_relay_alone(tmp_path):
    world = World(tmp_path / "w")
    pair(world)
    before = dict(world.blobs)
    world.form = "0.7"
    carol = world.machine("carol", count=1)
    carol.write("c.txt", "c")
    with pytest.raises(RelayInUse):
        carol.sync()
    assert world.blobs == before
    world.close()
