"""Format 0.7 against files that the original wrote, against its reader's quirks, and against noise."""

from __future__ import annotations

import bz2
import random
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.digest import digest_of
from escale.errors import Corrupt
from escale.files.tree import Entry
from escale.relay.format import LockText, Place, Role
from escale.relay.format07 import Format07
from escale.relay.index import Index, Record, State, Update

GOLDEN = Path(__file__).parents[1] / "formats" / "format07"
BLOBS = sorted(path.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*/.*"))
ONE = digest_of([b"one"])
FORM = Format07()


def index_of(*records: Record, **more: object) -> Index:
    return replace(Index("0", {record.path: record for record in records}), **more)  # type: ignore[arg-type]


def record(path: str, client: str = "alice", seconds: int = 1_700_000_000, digest: str = ONE) -> Record:
    return Record(Entry(path, -1, seconds * 10**9, 0o644, digest), 0, client)


def persistent(text: str | bytes) -> bytes:
    return bz2.compress(text.encode() if isinstance(text, str) else text, 9)


def plain(data: bytes) -> str:
    return bz2.decompress(data).decode()


def entry_text(body: str, path: str = "a.txt") -> str:
    return f"---group---\nplaceholder%1.0\npusher: alice\n-----------\n{path} {len(body.encode())}\n{body}"


BODY = f"timestamp: 1700000000\nchecksum: {ONE}\n---pullers---\n"


# -- golden files


@pytest.mark.parametrize("name", BLOBS)
def test_golden_names_are_understood_and_given_back(name: str) -> None:
    blob = Path(name).name
    if blob.startswith("."):
        place = FORM.parse(blob)
        assert place is not None
        assert FORM.name(place) == blob


@pytest.mark.parametrize("name", [name for name in BLOBS if name.endswith(".index")])
def test_golden_indices_come_back_byte_for_byte(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    place = FORM.parse(Path(name).name)
    assert place is not None
    if place.role is Role.INDEX:
        index = FORM.decode_index(place.page, data)
        assert index.records
        assert not index.rejected
        assert FORM.encode_index(index) == data
    else:
        update = FORM.decode_update(place.page, place.stamp, data)
        assert not update.rejected
        assert FORM.encode_update(update) == data


def test_the_golden_index_says_what_the_folder_held() -> None:
    index = FORM.decode_index("0", (GOLDEN / "two-pushers" / ".0.index").read_bytes())
    said = {path: (one.client, one.entry.mtime_ns, one.entry.digest) for path, one in index.records.items()}
    start = 1_700_000_000
    assert said == {
        "a.txt": ("alice", start * 10**9, digest_of([b"one"])),
        "sub/deep/b.txt": ("alice", (start + 1) * 10**9, digest_of([b"two"])),
        "sp ace/é/ü.txt": ("alice", (start + 2) * 10**9, digest_of([b"three"])),
        " lead and : colon.txt": ("alice", (start + 3) * 10**9, digest_of([b"four"])),
        "empty": ("alice", (start + 5) * 10**9, digest_of([])),
        "of bob.txt": ("bob", start * 10**9, digest_of([b"five"])),
    }
    assert {(one.version, one.entry.size, one.entry.mode) for one in index.records.values()} == {(0, -1, 0o644)}


def test_the_golden_pages_are_those_of_our_paging() -> None:
    form = Format07(levels=1)
    for path in (GOLDEN / "topdir").glob(".*.index"):
        place = form.parse(path.name)
        assert place is not None
        if place.role is Role.INDEX:
            records = form.decode_index(place.page, path.read_bytes()).records
            assert {form.page_of(each) for each in records} == {place.page}


def test_golden_registrations() -> None:
    both = FORM.decode_update("0", "1795228750", (GOLDEN / "pullers" / ".0.1795228750.index").read_bytes())
    assert (both.client, both.consumed, len(both.records)) == ("alice", {"bob", "zoë"}, 5)
    (short,) = (GOLDEN / "registered").glob(".*.index")
    unread = FORM.decode_update("sp ace", "1795228751", short.read_bytes())
    assert (unread.client, unread.consumed, unread.records) == ("", {"carol"}, {})


@pytest.mark.parametrize("path", sorted((GOLDEN / "locks").glob("*.lock")), ids=lambda path: path.name)
def test_golden_locks_come_back_byte_for_byte(path: Path) -> None:
    owner, mode = path.stem.split("-")
    lock = FORM.decode_lock(path.read_bytes())
    assert lock == LockText(owner, mode)
    assert FORM.encode_lock(lock) == path.read_bytes()


# -- names, pages, stamps


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (".0.index", Place(Role.INDEX, "0")),
        (".sp ace é.index", Place(Role.INDEX, "sp ace é")),
        (".0.1700000000.index", Place(Role.UPDATE, "0", "1700000000")),
        (".0.1700000000.data", Place(Role.DATA, "0", "1700000000")),
        (".0.+17_0 .data", Place(Role.DATA, "0", "+17_0 ")),
        (".a_b.lock", Place(Role.LOCK, "a_b")),
        (".5.index", Place(Role.INDEX, "5")),
    ],
)
def test_names(name: str, place: Place) -> None:
    assert FORM.parse(name) == place
    assert FORM.name(place) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "visible",
        "0.index",
        "..index",
        ".index",
        "..7.data",
        ".0.data",
        ".0.x.data",
        ".0..index",
        ".0.1.2.index",
        ".a.txt.placeholder",
        ".0.7.lock",
        ".0." + "9" * 30 + ".data",
        ".0." + "9" * 5000 + ".data",
        f".{'x' * 199}.index",
        "escale.relay",
        ".0.x-tomb",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert FORM.parse(name) is None


@pytest.mark.parametrize("role", [Role.MARKER, Role.CLIENT])
def test_roles_without_a_name(role: Role) -> None:
    with pytest.raises(ValueError, match=role.value):
        FORM.name(Place(role))


@pytest.mark.parametrize(
    ("levels", "path", "page"),
    [
        (0, "deep/er/f", "0"),
        (1, "root.txt", "0"),
        (1, "deep/er/f", "deep"),
        (1, "a.b/x", "a_b"),
        (1, "sp ace/é/ü", "sp ace"),
        (1, "0/x", "0"),
        (2, "deep/h", "0"),
        (2, "deep/er/f", "deep_er"),
        (2, "deep/er.d/g", "deep_er_d"),
        (2, "a/b_c/x", "a_b_c"),
        (2, "a_b/c/x", "a_b_c"),
    ],
)
def test_pages(levels: int, path: str, page: str) -> None:
    assert Format07(levels).page_of(path) == page


def test_stamps_are_seconds_and_grow() -> None:
    assert FORM.new_stamp(1_700_000_000.6, "", "x") == "1700000001"
    assert FORM.new_stamp(1_700_000_000.4, "1600000000", "x") == "1700000000"
    assert FORM.new_stamp(1_700_000_000.4, "1700000000", "x") == "1700000001"
    assert FORM.new_stamp(1_700_000_000.4, "+1_800_000_000 ", "x") == "1800000001"


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="rot13"):
        Format07(algorithm="rot13")


# -- what can be sent


@pytest.mark.parametrize(
    ("path", "mtime_ns", "words"),
    [
        ("a\nb", 10**18, "line break"),
        ("a\rb", 10**18, "carriage return"),
        ("a ", 10**18, "white space"),
        ("dir/a\u00a0", 10**18, "white space"),
        (" \t", 10**18, "white space only"),
        ("\udcff", 10**18, "UTF-8"),
        ("../a", 10**18, "leaves the folder"),
        ("a", 0, "1970"),
        ("a", 999_999_999, "1970"),
        ("a", -1, "before 1970"),
        ("a", -1_500_000_000, "before 1970"),
        ("a", 10**21, "five digits"),
        ("back\\slash/a", 10**18, "folder"),
        (f"{'x' * 190}/a", 10**18, "folder"),
    ],
)
def test_what_the_original_could_not_receive_is_refused_in_words(path: str, mtime_ns: int, words: str) -> None:
    problem = Format07(levels=1).problem_with(Entry(path, 1, mtime_ns))
    assert problem is not None
    assert words in problem


@pytest.mark.parametrize("path", ["a", ".hidden", " lead", "12 34", "a:b%?#\\", "\u2028\u0085x", "---pullers---", "ü"])
@pytest.mark.parametrize("mtime_ns", [10**18, 10**9, -2 * 10**9])
def test_what_can_be_sent_comes_back(path: str, mtime_ns: int) -> None:
    entry = Entry(path, -1, mtime_ns, 0o644, ONE)
    assert FORM.problem_with(entry) is None
    one = Record(entry, 0, "zoë")
    assert FORM.decode_index("0", FORM.encode_index(index_of(one))).records == {path: one}
    update = Update("0", "5", "zoë", {path: one}, frozenset({"bob"}))
    assert FORM.decode_update("0", "5", FORM.encode_update(update)) == update


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
CLIENTS = st.text("abcé_.-09", max_size=8)


@given(st.dictionaries(NAMES, st.tuples(CLIENTS, st.integers(1, 10**10)), min_size=1, max_size=6), st.sets(CLIENTS))
def test_every_sendable_index_comes_back(said: dict[str, tuple[str, int]], pullers: set[str]) -> None:
    records = [record(path, client, seconds) for path, (client, seconds) in said.items()]
    kept = {one.path: one for one in records if FORM.problem_with(one.entry) is None}
    if kept:
        assert FORM.decode_index("0", FORM.encode_index(Index("0", kept))).records == kept
        update = Update("0", "5", next(iter(kept.values())).client, kept, frozenset(pullers - {""}))
        assert FORM.decode_update("0", "5", FORM.encode_update(update)) == update


# -- what must not be written


@pytest.mark.parametrize(
    "index",
    [
        Index("0"),
        index_of(record("a\nb")),
        index_of(record("a ")),
        index_of(record("\udcff")),
        index_of(record("a", client="al:ice")),
        index_of(record("a", client="al\nice")),
        index_of(replace(record("a"), state=State.WANTED)),
    ],
)
def test_what_would_stop_the_original_is_never_written(index: Index) -> None:
    with pytest.raises(ValueError, match=r".+"):
        FORM.encode_index(index)


def test_an_update_index_of_nothing_is_never_written() -> None:
    with pytest.raises(ValueError, match="file or a puller"):
        FORM.encode_update(Update("0", "5", "alice", {}))


def test_a_lock_without_owner_is_never_written() -> None:
    with pytest.raises(ValueError, match="owner"):
        FORM.encode_lock(LockText("", "w"))


# -- what others wrote


def test_unknown_keys_survive_until_the_entry_is_replaced() -> None:
    data = (GOLDEN / "extended" / ".0.index").read_bytes()
    index = FORM.decode_index("0", data)
    assert "size: 3\nmtime_ns: 1700000000250000000\n---pullers---\nfree: text: here" in plain(data)
    assert "size: 3" in plain(FORM.encode_index(index.merged([replace(record("new"), version=1)])))
    assert "size: 3" not in plain(FORM.encode_index(index.merged([replace(record("a.txt", "bob"), version=1)])))
    assert "size: 3" not in plain(FORM.encode_index(index.without(["a.txt"])))


def test_an_entry_without_checksum_is_told_and_kept() -> None:
    data = persistent(entry_text("timestamp: 5\n---pullers---\n", "by time") + f"a.txt {len(BODY)}\n{BODY}")
    index = FORM.decode_index("0", data)
    assert list(index.records) == ["a.txt"]
    assert index.rejected == ("the entry of 'by time' is of no use: it has no checksum",)
    again = FORM.decode_index("0", FORM.encode_index(index))
    assert again == index
    ours = record("by time", "bob")
    assert FORM.decode_index("0", FORM.encode_index(index.merged([ours]))).records["by time"] == ours


def test_a_checksum_of_another_algorithm_is_told_and_kept() -> None:
    index = FORM.decode_index("0", persistent(entry_text("timestamp: 5\nchecksum: 0123\n---pullers---\n")))
    assert not index.records
    assert "algorithm" in index.rejected[0]
    assert "checksum: 0123" in plain(FORM.encode_index(index))
    body = f"timestamp: 5\nchecksum: {digest_of([], 'sha1')}\n---pullers---\n"
    assert Format07(algorithm="sha1").decode_index("0", persistent(entry_text(body))).records


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../b", "a//b", ".escale/marker", "x" * 300])
def test_a_path_that_leaves_the_folder_is_dropped_and_told(path: str) -> None:
    data = persistent(entry_text(BODY, path) + f"good {len(BODY)}\n{BODY}")
    index = FORM.decode_index("0", data)
    assert list(index.records) == ["good"]
    assert len(index.rejected) == 1
    assert path not in plain(FORM.encode_index(index))


def test_many_bad_entries_are_told_shortly() -> None:
    data = persistent(entry_text(BODY, "good") + "".join(f"../{i} {len(BODY)}\n{BODY}" for i in range(50)))
    told = FORM.decode_index("0", data).rejected
    assert len(told) == 21
    assert told[-1] == "30 more entries are left out"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (entry_text(BODY) + "\nanything\n", ["a.txt"]),
        (entry_text(BODY) + "---pullers---\nbob", ["a.txt"]),
        (entry_text(BODY) + "---group---\n\n", ["a.txt"]),
        (entry_text(BODY) + "none 0\n", ["a.txt"]),
        (entry_text(BODY).replace("-----------", "-----------  \t"), ["a.txt"]),
        (entry_text(BODY).replace("a.txt 1", "a.txt \u00a0 +1"), ["a.txt"]),
        (entry_text(BODY).replace("1.0", "2.7"), ["a.txt"]),
        (entry_text(BODY, "a\rb"), ["a\rb"]),
        (entry_text(BODY.replace("timestamp:", "x y:z\n\ntimestamp:")), ["a.txt"]),
        (entry_text(BODY.replace("---pullers---", "== READERS")), []),
        (entry_text(BODY.replace("---pullers---", "==Readers==")), ["a.txt"]),
        (entry_text(BODY.replace("---pullers---", "==Other==")), []),
        (entry_text(BODY.replace("timestamp:", "a:b:c\ntimestamp:")), []),
        (entry_text(BODY.replace("timestamp:", "version: 2\ntimestamp:")), []),
        (entry_text(BODY.replace("1700000000", "1.5")), []),
        (entry_text(BODY.replace("1700000000", "9" * 30)), []),
        (entry_text(BODY.replace("timestamp: 1700000000\n", "")), ["a.txt"]),
        (entry_text(BODY.replace("checksum: ", "checksum:")), ["a.txt"]),
        (entry_text(BODY.replace(ONE, ONE.upper())), ["a.txt"]),
    ],
)
def test_the_original_readers_quirks(text: str, paths: list[str]) -> None:
    index = FORM.decode_index("0", persistent(text))
    assert list(index.records) == paths
    if index.records:
        assert FORM.decode_index("0", FORM.encode_index(index)).records == index.records
        assert index.records[paths[0]].entry.digest == ONE


def test_an_index_of_no_bytes_is_empty() -> None:
    assert FORM.decode_index("0", b"") == Index("0")
    assert FORM.decode_update("0", "5", b"") == Update("0", "5", "", {})


def test_several_bzip2_streams_are_one_index() -> None:
    text = entry_text(BODY)
    assert FORM.decode_index("0", persistent(text[:90]) + persistent(text[90:])).records


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"BZh9",
        persistent(""),
        persistent("\n" + entry_text(BODY)),
        persistent("---group---\nplaceholder%1.0\n"),
        persistent(f"a.txt {len(BODY)}\n{BODY}"),
        persistent(entry_text(BODY)[:-5]),
        persistent(entry_text(BODY))[:-8],
        persistent(entry_text(BODY) + "no length\n"),
        persistent(entry_text(BODY) + "175\n"),
        persistent(entry_text(BODY) + "b -1\n"),
        persistent(entry_text(BODY) + "b 99999999\n"),
        persistent(entry_text(BODY).encode() + b"\xff 0\n"),
        persistent("---group---\n" * 1 + "x\n" * 50),
        persistent("x" * 100_000),
    ],
)
def test_a_damaged_index_is_one_sentence(data: bytes) -> None:
    with pytest.raises(Corrupt) as caught:
        FORM.decode_index("0", data)
    assert str(caught.value).startswith("the index .0.index is damaged: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\n", b"\xff\xfe", b"a 5\nabc", b"a\n", b"a x\n", b"a 9" + b"9" * 70_000])
def test_a_damaged_update_index_is_one_sentence(data: bytes) -> None:
    with pytest.raises(Corrupt, match=r"^the update index \.0\.5\.index is damaged: "):
        FORM.decode_update("0", "5", data)


@pytest.mark.parametrize(
    ("data", "lock"),
    [
        (b"", LockText("", "")),
        (b"lock%1.0", LockText("", "")),
        (b"lock%9\nmode: r\r\nowner:  a:b \nlease: 2.5\nnonce: ff\nmore", LockText("a:b", "r", "ff", 2.5)),
        (b"lock%1.0\nowner: bob\nlease: nan", LockText("bob", "")),
        (b"lock%1.0\nowner: bob\nlease: -3", LockText("bob", "")),
        (b"old style\nmore", LockText("old style", "")),
        (b"\xff\xff", LockText("", "")),
        (b"a" * 5000, LockText("", "")),
    ],
)
def test_locks_of_others(data: bytes, lock: LockText) -> None:
    assert FORM.decode_lock(data) == lock


def test_our_locks_have_two_more_lines() -> None:
    lock = LockText("alice", "w", "00ff", 900.0)
    assert FORM.encode_lock(lock) == b"lock%1.0\nowner: alice\nmode: w\nnonce: 00ff\nlease: 900.0"
    assert FORM.decode_lock(FORM.encode_lock(lock)) == lock


# -- noise


def mutations(data: bytes, seed: int, count: int) -> list[bytes]:
    """Copies with a few bytes changed, removed, doubled, or the end cut off."""
    rng = random.Random(seed)
    results = []
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(copy) + 1)
            span = rng.randint(0, 8)
            noise = rng.choice([b"", rng.randbytes(span), b"\n", b"---pullers---\n", b" 9", copy[at : at + span] * 2])
            copy[at : at + span] = noise
        results.append(bytes(copy[: rng.randrange(len(copy) + 1)] if rng.random() < 0.1 else copy))
    return results


def survives(decode: Callable[[bytes], Index | Update], data: bytes) -> Index | Update | None:
    try:
        return decode(data)
    except Corrupt:
        return None


@pytest.mark.parametrize("name", [name for name in BLOBS if name.endswith(".index")])
def test_mutated_golden_files_are_read_or_corrupt(name: str) -> None:
    """Whatever is still read can be written again and says the same then."""
    data = (GOLDEN / name).read_bytes()
    place = FORM.parse(Path(name).name)
    assert place is not None
    if place.role is Role.INDEX:
        for text in mutations(bz2.decompress(data), 7, 300):
            found = survives(lambda raw: FORM.decode_index("0", raw), persistent(text))
            if isinstance(found, Index) and found.records:
                assert FORM.decode_index("0", FORM.encode_index(found)).records == found.records
        for raw in mutations(data, 8, 100):
            survives(lambda raw: FORM.decode_index("0", raw), raw)
    else:
        for raw in mutations(data, 9, 300):
            found = survives(lambda raw: FORM.decode_update("0", "5", raw), raw)
            if isinstance(found, Update) and found.records:
                assert FORM.decode_update("0", "5", FORM.encode_update(found)).records == found.records


@given(st.binary(max_size=300))
def test_noise_is_corrupt_or_nothing(data: bytes) -> None:
    survives(lambda raw: FORM.decode_index("0", raw), data)
    survives(lambda raw: FORM.decode_index("0", raw), persistent(data))
    survives(lambda raw: FORM.decode_update("0", "5", raw), data)
    assert isinstance(FORM.decode_lock(data), LockText)


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    line = persistent(b"x" * 30_000_000)
    groups = persistent(b"---group---\n-----------\n" * 500_000)
    tracemalloc.start()
    try:
        for bomb in (line, groups):
            with pytest.raises(Corrupt):
                FORM.decode_index("0", bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a\x0cb", "a\x1cb", "a\x85b", "a\u2028b", " a"])
def test_a_puller_of_any_name_that_can_be_read_is_written_again(name: str) -> None:
    update = FORM.decode_update("0", "5", f"---pullers---\n{name}".encode())
    assert update.consumed == {name}
    assert FORM.decode_update("0", "5", FORM.encode_update(update)) == update
