"""Seals: what goes in comes out, and nothing else ever does."""

import base64
import io
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escale.clock import SystemClock
from escale.errors import ExposedSecret, Forged, LocalError, NoLocalSpace, SecretError
from escale.seal import CHUNK, MAGIC, FernetSeal, Key, NoSeal, Seal, StreamSeal

from .memory import extra_mib

FORMATS = Path(__file__).parent / "formats"
KEY = Key(bytes(range(32)))
OTHER_KEY = Key(bytes(range(1, 33)))
PLACE = "relay 7f / page 0 / data / 17"

SealFor = Callable[[Key], Seal]


@pytest.fixture(params=["stream", "fernet"])
def seal_for(request: pytest.FixtureRequest, tmp_path: Path) -> SealFor:
    """A maker of each kind of seal that seals."""
    if request.param == "stream":
        return StreamSeal
    return lambda key: FernetSeal(key, SystemClock(), tmp_path)


def borders(unit: int) -> st.SearchStrategy[int]:
    """Sizes at and around multiples of the unit."""
    return st.builds(lambda count, shift: max(0, count * unit + shift), st.integers(0, 3), st.integers(-17, 17))


# What goes in comes out


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(size=borders(CHUNK) | borders(256 * 1024) | borders(16))
def test_round_trip(seal_for: SealFor, size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    sealed = seal_for(KEY).seal_bytes(data, PLACE)
    assert data[:64] not in sealed or size < 8
    assert seal_for(KEY).unseal_bytes(sealed, PLACE) == data


def test_two_sealings_of_the_same_differ(seal_for: SealFor) -> None:
    seal = seal_for(KEY)
    assert seal.seal_bytes(b"same", PLACE) != seal.seal_bytes(b"same", PLACE)


def test_closing_a_stream_closes_what_it_pulls_from(seal_for: SealFor) -> None:
    """A connection to the relay, usually; also where nothing was read yet."""
    for seal in (seal_for(KEY), NoSeal()):
        for opened in (seal.seal, seal.unseal):
            source = io.BytesIO(b"x")
            opened(source, PLACE).close()
            assert source.closed


def test_no_seal_is_the_identity() -> None:
    assert NoSeal().unseal_bytes(NoSeal().seal_bytes(b"in clear", PLACE), "elsewhere") == b"in clear"
    assert NoSeal().name_key == b""


# Nothing else ever does


def test_every_flipped_bit_is_noticed(seal_for: SealFor) -> None:
    seal = seal_for(KEY)
    sealed = seal.seal_bytes(b"some plain text", PLACE)
    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(Forged):
            seal.unseal_bytes(bytes(damaged), PLACE)


def test_every_truncation_is_noticed(seal_for: SealFor) -> None:
    seal = seal_for(KEY)
    sealed = seal.seal_bytes(b"some plain text", PLACE)
    for length in range(len(sealed)):
        with pytest.raises(Forged):
            seal.unseal_bytes(sealed[:length], PLACE)


@pytest.mark.parametrize("tail", [b"\0", b"A" * 17, b"A" * (CHUNK + 17), b"A" * (2 * CHUNK)])
def test_trailing_bytes_are_noticed(seal_for: SealFor, tail: bytes) -> None:
    seal = seal_for(KEY)
    for size in (5, CHUNK, 2 * CHUNK):
        with pytest.raises(Forged):
            seal.unseal_bytes(seal.seal_bytes(bytes(size), PLACE) + tail, PLACE)


def test_a_wrong_key_is_one_sentence(seal_for: SealFor) -> None:
    with pytest.raises(Forged) as caught:
        seal_for(OTHER_KEY).unseal_bytes(seal_for(KEY).seal_bytes(b"secret", PLACE), PLACE)
    assert str(caught.value).startswith(f"{PLACE} does not open under our key, or was moved from its place: ")
    assert "\n" not in str(caught.value)


def sealed_chunks(size: int) -> tuple[bytes, list[bytes]]:
    """The head and the chunks of a sealed stream."""
    sealed = StreamSeal(KEY).seal_bytes(os.urandom(size), PLACE)
    head = len(MAGIC) + 24
    return sealed[:head], [sealed[at : at + CHUNK + 17] for at in range(head, len(sealed), CHUNK + 17)]


def test_chunks_cannot_be_exchanged_repeated_dropped_or_cut_at_a_border() -> None:
    head, (first, second, third, last) = sealed_chunks(3 * CHUNK + 9)
    for order in (
        [second, first, third, last],
        [first, first, second, third, last],
        [first, third, last],
        [first, second, third],
        [last],
        [],
        [first, second, third, last, last],
    ):
        with pytest.raises(Forged):
            StreamSeal(KEY).unseal_bytes(head + b"".join(order), PLACE)


def test_a_blob_does_not_open_in_another_place() -> None:
    seal = StreamSeal(KEY)
    for data in (b"", b"x", bytes(2 * CHUNK)):
        sealed = seal.seal_bytes(data, PLACE)
        with pytest.raises(Forged):
            seal.unseal_bytes(sealed, PLACE.replace("17", "18"))


def test_what_is_read_before_an_error_is_genuine() -> None:
    data = os.urandom(3 * CHUNK)
    sealed = bytearray(StreamSeal(KEY).seal_bytes(data, PLACE))
    sealed[-20] ^= 1
    stream = StreamSeal(KEY).unseal(io.BytesIO(bytes(sealed)), PLACE)
    read = b""
    with pytest.raises(Forged):
        while piece := stream.read1(1000):
            read += piece
    assert read == data[: 2 * CHUNK]
    with pytest.raises(Forged):
        stream.read1(1)


# The original's tokens


@settings(max_examples=60, deadline=None)
@given(size=borders(16) | borders(CHUNK * 3) | borders(256 * 1024))
def test_fernet_is_the_one_of_the_library_in_both_directions(size: int) -> None:
    data = (bytes(range(253)) * (size // 253 + 1))[:size]
    library = Fernet(base64.urlsafe_b64encode(KEY.secret))
    ours = FernetSeal(KEY, SystemClock(), Path("/tmp"))
    assert library.decrypt(ours.seal_bytes(data, PLACE)) == data
    assert ours.unseal_bytes(library.encrypt(data), PLACE) == data


def test_fernet_releases_nothing_before_the_signature_was_checked(tmp_path: Path) -> None:
    token = bytearray(FernetSeal(KEY, SystemClock(), tmp_path).seal_bytes(bytes(1_000_000), PLACE))
    token[-5] = ord("A") if token[-5] != ord("A") else ord("B")
    with pytest.raises(Forged):
        FernetSeal(KEY, SystemClock(), tmp_path).unseal(io.BytesIO(bytes(token)), PLACE).read(1)


def test_fernet_leaves_nothing_in_the_spool_directory(tmp_path: Path) -> None:
    seal = FernetSeal(KEY, SystemClock(), tmp_path)
    stream = seal.unseal(io.BytesIO(seal.seal_bytes(bytes(600_000), PLACE)), PLACE)
    stream.read(1)
    assert list(tmp_path.iterdir()) == []


def test_fernet_accepts_a_line_break_at_the_end(tmp_path: Path) -> None:
    seal = FernetSeal(KEY, SystemClock(), tmp_path)
    assert seal.unseal_bytes(seal.seal_bytes(b"x", PLACE) + b"\r\n", PLACE) == b"x"


def small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (7 * 4096, 7 * 4096))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    program = (
        "import io, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pathlib import Path; from escale.seal import *; from escale.clock import SystemClock\n"
        f"seal = FernetSeal(Key(bytes(32)), SystemClock(), Path({str(tmp_path)!r}))\n"
        "try: seal.unseal_bytes(seal.seal_bytes(bytes(500000), ''), '')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, preexec_fn=small_files_only, check=True
    )
    assert done.stdout == f"{NoLocalSpace.__name__} the disk of {tmp_path} is full: File too large\n"


# Golden bytes: a relay of today opens for ever


def test_golden_bytes_open() -> None:
    golden = bytes.fromhex((FORMATS / "sealed-1.hex").read_text())
    assert StreamSeal(KEY).unseal_bytes(golden, PLACE) == b"golden bytes never change"


def test_golden_token_opens(tmp_path: Path) -> None:
    golden = (FORMATS / "fernet.token").read_bytes()
    assert FernetSeal(KEY, SystemClock(), tmp_path).unseal_bytes(golden, PLACE) == b"golden bytes never change"


def test_golden_names_and_fingerprint() -> None:
    assert KEY.fingerprint == "DZQM-SN1P"
    assert StreamSeal(KEY).name_key.hex() == "c9bcfec44f66484a399d7c07bbff0865bb8ef20d09fa62d21363bc7c945080b9"
    assert StreamSeal(KEY).name_key == FernetSeal(KEY, SystemClock(), Path("/tmp")).name_key


# Keys


def test_a_key_file_round_trips_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "work.key"
    old = os.umask(0)
    try:
        KEY.write(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "escale-key-1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert Key.load(path) == KEY


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    KEY.write(tmp_path / "key")
    with pytest.raises(LocalError, match="never overwritten"):
        OTHER_KEY.write(tmp_path / "key")
    assert Key.load(tmp_path / "key") == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_an_exposed_key_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    KEY.write(path)
    path.chmod(mode)
    with pytest.raises(ExposedSecret) as caught:
        Key.load(path)
    assert (caught.value.code, caught.value.next_step) == ("K201", f"chmod 600 {path}")
    assert f"mode 0{mode:o}" in str(caught.value)


def test_a_fernet_key_is_a_key() -> None:
    text = Fernet.generate_key().decode()
    assert base64.urlsafe_b64encode(Key.parse(text + "\n").secret).decode() == text


@pytest.mark.parametrize("text", ["", "escale-key-1", "escale-key-2 " + "A" * 43 + "=", "A" * 44, "A" * 43, "é" * 44])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SecretError, match="not an escale key"):
        Key.load(path)
    with pytest.raises(SecretError):
        Key.parse(text)


def test_a_missing_key_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"cannot read the key file .*/none: No such file"):
        Key.load(tmp_path / "none")


def test_a_key_does_not_show_itself() -> None:
    assert KEY.secret.hex() not in repr(KEY) and str(KEY.secret) not in repr(KEY)
    assert Key.generate() != Key.generate()


# Memory


@pytest.mark.parametrize("kind", ["stream", "fernet"])
def test_memory_does_not_grow_with_the_blob(kind: str, tmp_path: Path) -> None:
    extra = extra_mib(
        f"""
from pathlib import Path
from escale.seal import FernetSeal, Key, StreamSeal
from escale.clock import SystemClock
class Zeros:
    left = 64 << 20
    def read(self, size=-1):
        size = min(size, self.left)
        self.left -= size
        return bytes(size)
key, directory = Key(bytes(32)), Path({str(tmp_path)!r})
seal = StreamSeal(key) if {kind!r} == "stream" else FernetSeal(key, SystemClock(), directory)
seal.unseal_bytes(seal.seal_bytes(b"warm", ""), "")""",
        'assert count(seal.unseal(seal.seal(Zeros(), ""), "")) == 64 << 20',
    )
    assert extra < 8, f"{extra} MiB more for 64 MiB"
