"""Archives: others read ours, we read theirs, and nothing in one makes us leave the folder or fall over."""

import hashlib
import io
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escale.errors import Changing, Corrupt, LocalError, Unreachable
from escale.files.source import Source
from escale.files.tree import Entry, path_bytes, path_problem, path_text
from escale.relay.archive import HEADER_BYTES_MAX, WHOLE_MAX, Packer, members, plain_size_max
from escale.relay.compression import CODECS

from ..memory import extra_mib

FORMATS = Path(__file__).parent.parent / "formats"
LIMIT = 1 << 30

ODD_NAMES = [
    b"plain",
    b"with space ",
    b"new\nline",
    b"carriage\rreturn",
    "accents é ü 漢字".encode(),
    b"not utf-8 \xff\xfe\x80",
    b"deep/" * 40 + b"file",
    b"n" * 255,
    b"\xff" * 255,
    b"d" * 200 + b"/" + b"\xe9" * 200 + b"/" + b"f" * 200,
    b"-dash",
    b"back\\slash",
    b" 12 path=x",
    b"a=b\nc",
]


def silent(files: int, done: int) -> None:
    """No progress is shown."""


def put(folder: Path, path: str, data: bytes, mtime_ns: int = 1_700_000_000_123_456_789, mode: int = 0o644) -> Entry:
    """A file of the folder, and its entry as a scan would make it."""
    target = os.path.join(os.fsencode(folder), path_bytes(path))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)
    os.chmod(target, mode)
    os.utime(target, ns=(mtime_ns, mtime_ns))
    return Entry(path, len(data), mtime_ns, mode)


def opener(folder: Path) -> Callable[[str], Source]:
    """What opens the sources of a folder, with errors as Folder has them."""

    def open_source(path: str) -> Source:
        try:
            return Source(path, open(os.path.join(os.fsencode(folder), path_bytes(path)), "rb", buffering=0))
        except OSError as error:
            raise LocalError(path=path, reason=error.strerror) from error

    return open_source


def packer(folder: Path, entries: list[Entry], codec: str = "none") -> Packer:
    return Packer(entries, opener(folder), "sha512", codec, 2, silent)


def unpacked(data: bytes, size_max: int = LIMIT) -> dict[str, tuple[bytes, int, int]]:
    """Content, mode and mtime_ns of each member by path."""
    found = members(io.BytesIO(data), size_max, "the archive", 2)
    return {member.path: (member.stream.read(), member.mode, member.mtime_ns) for member in found}


def hostile(*infos: tarfile.TarInfo, data: bytes = b"") -> bytes:
    """A tar of members that an honest client does not write."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(data.ljust(info.size, b"x")))
    return made.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, **more: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    made.linkname = more.pop("linkname", "")
    made.pax_headers = {key.replace("__", "."): value for key, value in more.items()}
    return made


# Round trips

mtimes = st.integers(-(10**18), 4 * 10**18) | st.sampled_from([0, -1, 1, 999_999_999, -1_500_000_000, 2**62])
entries_of = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=300).map(path_text).filter(lambda path: path_problem(path) is None),
        st.binary(max_size=2000),
        st.integers(0, 0o777),
        mtimes,
    ),
    max_size=5,
    unique_by=lambda file: file[0],
)


@settings(max_examples=60, deadline=None)
@given(files=entries_of, codec=st.sampled_from(CODECS))
def test_round_trip(files: list[tuple[str, bytes, int, int]], codec: str) -> None:
    """Without a folder: sources are any files, so names that this file system refuses are tried too."""
    with Sources(files) as sources:
        stream = Packer(sources.entries, sources.open, "sha512", codec, 2, silent)
        data = stream.read()
    assert unpacked(data, plain_size_max(sources.entries)) == {
        path: (content, mode, mtime_ns) for path, content, mode, mtime_ns in files
    }
    assert stream.skipped == {}
    assert stream.packed == {
        path: Entry(path, len(content), mtime_ns, mode, hashlib.sha512(content).hexdigest())
        for path, content, mode, mtime_ns in files
    }


class Sources:
    """Sources whose entries say what the test wants, over anonymous memory files."""

    def __init__(self, files: list[tuple[str, bytes, int, int]]) -> None:
        self._files = {path: (content, mode, mtime_ns) for path, content, mode, mtime_ns in files}
        self.entries = [Entry(path, len(content), mtime_ns, mode) for path, content, mode, mtime_ns in files]

    def open(self, path: str) -> Source:
        content, mode, mtime_ns = self._files[path]
        file = io.FileIO(os.memfd_create("source"), "w+b")
        file.write(content)
        file.seek(0)
        source = Source(path, file)
        source.entry = Entry(path, len(content), mtime_ns, mode)
        return source

    def __enter__(self) -> "Sources":
        return self

    def __exit__(self, *exc: object) -> None:
        self._files.clear()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, WHOLE_MAX - 1, WHOLE_MAX, WHOLE_MAX + 1, 3 * WHOLE_MAX + 7])
def test_sizes_around_borders(tmp_path: Path, codec: str, size: int) -> None:
    content = random.Random(size).randbytes(size)
    entry = put(tmp_path, "a file", content)
    stream = packer(tmp_path, [entry], codec)
    assert unpacked(stream.read(), plain_size_max([entry]))["a file"] == (content, 0o644, entry.mtime_ns)
    assert stream.packed["a file"].digest == hashlib.sha512(content).hexdigest()


def test_an_archive_of_nothing() -> None:
    assert unpacked(packer(Path("/"), []).read(), plain_size_max([])) == {}


def test_progress_counts_files_and_bytes(tmp_path: Path) -> None:
    entries = [put(tmp_path, "small", b"12345"), put(tmp_path, "large", bytes(WHOLE_MAX + 1))]
    seen: list[tuple[int, int]] = []
    Packer(entries, opener(tmp_path), "sha512", "none", 2, lambda files, done: seen.append((files, done))).read()
    assert seen[0] == (1, 5) and seen[-1] == (2, WHOLE_MAX + 6)
    assert seen == sorted(seen) and len(seen) > 4


def test_no_trace_of_the_owner(tmp_path: Path) -> None:
    data = packer(tmp_path, [put(tmp_path, "file", b"")]).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (member,) = archive
    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")


# With other programs


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize(("codec", "option"), [("bz2", "xjf"), ("none", "xf"), ("zstd", "--zstd -xf")])
def test_gnu_tar_reads_ours(tmp_path: Path, codec: str, option: str, locale: str) -> None:
    entries = [
        put(tmp_path / "from", path_text(name), bytes([number]) * number * 300, mode=0o600 + number)
        for number, name in enumerate(ODD_NAMES)
    ]
    (tmp_path / "archive").write_bytes(packer(tmp_path / "from", entries, codec).read())
    (tmp_path / "to").mkdir()
    command = ["tar", *option.split(), str(tmp_path / "archive"), "-C", str(tmp_path / "to")]
    done = subprocess.run(command, env={**os.environ, "LC_ALL": locale}, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr
    for entry in entries:
        target = os.path.join(os.fsencode(tmp_path / "to"), path_bytes(entry.path))
        with open(target, "rb") as file:
            found = Source(entry.path, file)
            assert found.entry == entry
            assert found.read() == bytes([entry.mode - 0o600]) * entry.size


def test_python_reads_ours_as_the_original_does(tmp_path: Path) -> None:
    entries = [put(tmp_path / "from", path_text(name), name) for name in ODD_NAMES]
    (tmp_path / "archive").write_bytes(packer(tmp_path / "from", entries, "bz2").read())
    with tarfile.open(tmp_path / "archive", "r:bz2", encoding="utf-8") as archive:
        archive.extractall(tmp_path / "to", filter="data")
    for name in ODD_NAMES:
        with open(os.path.join(os.fsencode(tmp_path / "to"), name), "rb") as file:
            assert file.read() == name
            assert os.fstat(file.fileno()).st_mtime == pytest.approx(1_700_000_000.123456789)


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar"])
@pytest.mark.parametrize("options", ["-cjf", "-cf", "--zstd -cf", "--use-compress-program=lbzip2 -cf"])
def test_we_read_what_gnu_tar_writes(tmp_path: Path, form: str, options: str) -> None:
    if "lbzip2" in options and not shutil.which("lbzip2"):
        pytest.skip("lbzip2 is not installed")
    names = [name for name in ODD_NAMES if form != "ustar" or len(name) < 90]
    entries = [put(tmp_path / "from", path_text(name), name * 50) for name in names]
    command = [
        "tar",
        f"--format={form}",
        *options.split(),
        str(tmp_path / "archive"),
        "-C",
        str(tmp_path / "from"),
        ".",
    ]
    subprocess.run(command, check=True)
    found = unpacked((tmp_path / "archive").read_bytes(), plain_size_max(entries))
    assert {path: content for path, (content, _, _) in found.items()} == {path_text(name): name * 50 for name in names}
    fraction = 0 if form != "pax" else 123_456_789
    assert {mtime_ns for _, _, mtime_ns in found.values()} == {1_700_000_000 * 10**9 + fraction}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_we_read_what_the_original_writes(tmp_path: Path, form: int) -> None:
    """One bz2 stream, members for directories, a float as the time."""
    entries = [put(tmp_path / "from", path_text(name), name) for name in ODD_NAMES]
    with tarfile.open(tmp_path / "archive", "w:bz2", format=form) as archive:
        for top in sorted(os.listdir(tmp_path / "from")):
            archive.add(tmp_path / "from" / top, top)
    found = unpacked((tmp_path / "archive").read_bytes(), plain_size_max(entries))
    assert {path: content for path, (content, _, _) in found.items()} == {path_text(name): name for name in ODD_NAMES}
    assert all(abs(mtime_ns - 1_700_000_000_123_456_789) < 10**9 for _, _, mtime_ns in found.values())


# Files that do not hold still


class Meddled(Source):
    """A source whose file is changed after the first read."""

    def __init__(self, path: str, target: Path, meddle: Callable[[Path], None]) -> None:
        super().__init__(path, io.FileIO(target))
        self._target, self._meddle = target, meddle

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        self._meddle(self._target)
        return data


def grow(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("meddle", [grow, shrink, touch])
@pytest.mark.parametrize("size", [1000, 4 * WHOLE_MAX])
def test_a_changing_file_is_skipped_and_the_others_arrive(
    tmp_path: Path, meddle: Callable[[Path], None], size: int
) -> None:
    entries = [put(tmp_path, name, bytes(size)) for name in ("before", "changing", "later")]

    def open_source(path: str) -> Source:
        return Meddled(path, tmp_path / path, meddle) if path == "changing" else opener(tmp_path)(path)

    stream = Packer(entries, open_source, "sha512", "none", 2, silent)
    data = stream.read()
    assert set(stream.packed) == {"before", "later"}
    assert isinstance(stream.skipped["changing"], Changing)
    assert str(stream.skipped["changing"]) == "changing changes while it is being read"
    found = unpacked(data, plain_size_max(stream.packed.values()) + stream.garbage)
    assert (stream.garbage > 0) is ("changing" in found)
    assert found["before"][0] == found["later"][0] == bytes(size)
    assert len(found.get("changing", [bytes(size)])[0]) == size


@pytest.mark.parametrize("size", [1000, 4 * WHOLE_MAX])
def test_a_file_that_cannot_be_read_is_skipped(tmp_path: Path, size: int) -> None:
    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    entries = [put(tmp_path, name, bytes(size)) for name in ("before", "broken", "later")]

    def open_source(path: str) -> Source:
        return Meddled(path, tmp_path / path, fail) if path == "broken" else opener(tmp_path)(path)

    stream = Packer(entries, open_source, "sha512", "none", 2, silent)
    found = unpacked(stream.read())
    assert set(stream.packed) == {"before", "later"} <= set(found)
    assert str(stream.skipped["broken"]) == "broken: Input/output error"


def test_a_vanished_file_is_skipped(tmp_path: Path) -> None:
    entries = [Entry("gone", 3, 0), put(tmp_path, "here", b"abc")]
    stream = packer(tmp_path, entries)
    assert set(unpacked(stream.read())) == {"here"}
    assert str(stream.skipped["gone"]) == "gone: No such file or directory"


def test_what_was_really_read_counts(tmp_path: Path) -> None:
    """GIVEN a file that was replaced after the scan, THEN the archive and `packed` agree on the new one."""
    put(tmp_path, "file", b"new content", mtime_ns=5, mode=0o600)
    stream = packer(tmp_path, [Entry("file", 3, 1)])
    assert unpacked(stream.read())["file"] == (b"new content", 0o600, 5)
    assert stream.packed["file"] == Entry("file", 11, 5, 0o600, hashlib.sha512(b"new content").hexdigest())


# Hostile archives


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../x", "a//b", "a/./b", "././a", "..", ".escale/x", "n" * 256, "a/" * 2100 + "a"],
)
def test_paths_out_of_the_folder_are_refused(name: str) -> None:
    with pytest.raises(Corrupt, match="it names the path"):
        unpacked(hostile(info(name)))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
        (b"V", "unknown"),
    ],
)
def test_what_is_no_file_is_refused(kind: bytes, word: str) -> None:
    with pytest.raises(Corrupt, match=f"'bad' in it is .*{word}"):
        unpacked(hostile(info("good"), info("bad", kind, linkname="/etc/passwd")))


def test_directories_are_passed_over() -> None:
    assert set(unpacked(hostile(info(".", tarfile.DIRTYPE), info("d", tarfile.DIRTYPE), info("./d/f")))) == {"d/f"}


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_sparse_files_are_refused(tmp_path: Path, form: str) -> None:
    with open(tmp_path / "holes", "wb") as file:
        file.truncate(10_000_000)
        file.write(b"start")
    command = ["tar", "-S", f"--format={form}", "-cf", str(tmp_path / "a.tar"), "-C", str(tmp_path), "holes"]
    subprocess.run(command, check=True)
    with pytest.raises(Corrupt, match="is a sparse file"):
        unpacked((tmp_path / "a.tar").read_bytes())


def test_more_than_the_index_says_is_refused() -> None:
    entries = [Entry("a", 1000, 0)]
    honest = hostile(info("a", size=1000))
    assert set(unpacked(honest, plain_size_max(entries))) == {"a"}
    for packed in (hostile(info("a", size=60_000)), honest[:-1024] + bytes(60_000), hostile(*[info("a")] * 200)):
        with pytest.raises(Corrupt, match="holds more than its index says"):
            unpacked(packed, plain_size_max(entries))


def test_a_size_beyond_the_archive_is_refused() -> None:
    for size in (50_000, LIMIT, 2**63, 10**30):
        member = info("a")
        member.pax_headers = {"size": str(size)}
        with pytest.raises(Corrupt):
            unpacked(hostile(member))


def test_huge_headers_are_refused() -> None:
    for packed in (
        hostile(info("a", comment="x" * (HEADER_BYTES_MAX + 1))),
        hostile(info("a", comment="x" * 50_000_000)),
        info("n" * 5_000_000).tobuf(tarfile.GNU_FORMAT) + bytes(1024),
        info("a", tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT) * 2000 + bytes(1024),
    ):
        with pytest.raises(Corrupt, match="a header in it has more than 16384 bytes"):
            unpacked(packed)


def test_headers_that_take_tarfile_for_ever_are_refused() -> None:
    """But not a name of 255 digits."""
    assert set(unpacked(hostile(info("1" * 255)))) == {"1" * 255}
    payload = b"1" * 15_000
    with pytest.raises(Corrupt, match="headers that no client writes"):
        unpacked(info("a", tarfile.XHDTYPE, len(payload)).tobuf(tarfile.USTAR_FORMAT) + payload.ljust(15_360, b"\0"))


@pytest.mark.parametrize("size", [-1, -512, -(2**40)])
def test_negative_sizes_are_refused(size: int) -> None:
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        member = info("a", kind, size=size)
        with pytest.raises(Corrupt):
            unpacked(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    member = info("a")
    member.pax_headers = {"size": str(size)}
    with pytest.raises(Corrupt):
        unpacked(hostile(member))


@pytest.mark.parametrize("mtime", ["nan", "inf", "1e999999999", "1e30", "-1e30", "x", ""])
def test_times_out_of_range_are_refused(mtime: str) -> None:
    with pytest.raises(Corrupt):
        unpacked(hostile(info("a", mtime=mtime)))


def test_global_headers_are_refused() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", pax_headers={"path": "elsewhere"}) as archive:
        archive.addfile(info("a"))
    with pytest.raises(Corrupt):
        unpacked(made.getvalue())


def test_a_repeated_path_is_left_to_the_caller() -> None:
    found = members(io.BytesIO(hostile(info("a"), info("a"))), LIMIT, "the archive", 1)
    assert [member.path for member in found] == ["a", "a"]


@pytest.fixture(scope="module")
def honest() -> bytes:
    """A plain tar of three members, without padding behind its end."""
    with Sources(
        [(name, path_bytes(name) * 300, 0o644, 1_500_000_001) for name in ("one", "two", "three\udcff")]
    ) as sources:
        return Packer(sources.entries, sources.open, "sha512", "none", 1, silent).read()


def test_every_truncation_is_told(honest: bytes) -> None:
    """Also between two members and inside the end marker."""
    for length in [*range(0, len(honest), 512), *range(1, len(honest), 97)]:
        with pytest.raises(Corrupt):
            unpacked(honest[:length])


def test_damage_is_told_or_harmless(honest: bytes) -> None:
    """A flipped bit is told, or changes a content, which the digest tells; nothing else ever comes out."""
    for position in range(0, len(honest) * 8, 53):
        damaged = bytearray(honest)
        damaged[position // 8] ^= 1 << position % 8
        try:
            unpacked(bytes(damaged))
        except Corrupt as error:
            assert "\n" not in str(error)


def test_bytes_after_the_end_are_told(honest: bytes) -> None:
    assert unpacked(honest + bytes(9000)) == unpacked(honest)
    for tail in (b"x", bytes(10_000) + b"x", honest):
        with pytest.raises(Corrupt, match="it goes on after its end"):
            unpacked(honest + tail)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_garbage_is_told(data: st.DataObject) -> None:
    """Blocks of a valid archive in any order, mixed with garbage: Corrupt or members, nothing else."""
    good = hostile(info("a", size=700), info("é" * 80, size=3), info("b", GNU__sparse__major="1"))
    blocks = st.integers(0, len(good) // 512 - 1).map(lambda number: good[number * 512 : number * 512 + 512])
    mixed = b"".join(data.draw(st.lists(blocks | st.binary(min_size=512, max_size=512), max_size=12)))
    try:
        for path in unpacked(mixed + bytes(1024)):
            assert path_problem(path) is None
    except Corrupt as error:
        assert str(error).startswith("the archive is damaged: ")


def test_an_error_of_the_relay_comes_through() -> None:
    class Cut(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise Unreachable(where="sftp://x", reason="connection lost")

    with pytest.raises(Unreachable):
        list(members(Cut(), LIMIT, "the archive", 1))


# Streams


def test_a_member_left_unread_is_skipped() -> None:
    packed = hostile(info("a", size=3000), info("b", size=3), data=b"abc")
    found = {}
    for member in members(io.BytesIO(packed), LIMIT, "the archive", 1):
        if member.path == "b":
            found[member.path] = member.stream.read(2)
    assert found == {"b": b"ab"}


def test_a_stream_is_dead_after_the_next_member() -> None:
    found = members(io.BytesIO(hostile(info("a", size=30), info("b"))), LIMIT, "the archive", 1)
    first = next(found)
    next(found)
    with pytest.raises(ValueError, match="moved on"):
        first.stream.read(1)


@pytest.mark.parametrize("codec", CODECS)
def test_memory_does_not_grow_with_the_archive(tmp_path: Path, codec: str) -> None:
    rng = random.Random(5)
    with open(tmp_path / "large", "wb") as file:
        for _ in range(64):
            file.write(rng.randbytes(1 << 17) + bytes((1 << 20) - (1 << 17)))
    preparation = f"""
import zstandard
from escale.relay.archive import Packer, members, plain_size_max
from escale.files.source import Source
from escale.files.tree import Entry
directory = {str(tmp_path)!r}
opened = lambda path: Source(path, open(directory + "/" + path, "rb", buffering=0))
entries = [Entry("large", 64 << 20, 0)]"""
    packing = extra_mib(
        preparation,
        f"""
stream = Packer(entries, opened, "sha512", {codec!r}, 2, lambda files, done: None)
with open(directory + "/archive", "wb") as file:
    while piece := stream.read(1 << 16):
        file.write(piece)
assert list(stream.packed) == ["large"]""",
    )
    unpacking = extra_mib(
        preparation,
        """
for member in members(open(directory + "/archive", "rb"), plain_size_max(entries), "", 2):
    assert count(member.stream) == 64 << 20""",
    )
    assert max(packing, unpacking) < 35, f"{packing} and {unpacking} MiB more for 64 MiB"


# Golden bytes: archives of today are read for ever


@pytest.mark.parametrize("name", ["archive-1.tar.bz2", "archive-1.tar.zst", "archive-1.tar", "original-0.7.tar.bz2"])
def test_golden_archives_are_read(name: str) -> None:
    found = unpacked((FORMATS / name).read_bytes())
    nanoseconds = 0 if name.startswith("original") else 123_456_789
    assert {path: content for path, (content, _, _) in found.items()} == {
        "text.txt": b"golden bytes never change\n",
        "deep/é\udcff": b"\0" * 1000,
    }
    assert {mtime_ns for _, _, mtime_ns in found.values()} == {1_700_000_000 * 10**9 + nanoseconds}


def test_golden_tar_is_written(tmp_path: Path) -> None:
    """The tar itself never changes; what compresses it may."""
    entries = [put(tmp_path, "text.txt", b"golden bytes never change\n"), put(tmp_path, "deep/é\udcff", b"\0" * 1000)]
    assert packer(tmp_path, entries).read() == (FORMATS / "archive-1.tar").read_bytes()
