"""What files mean: every key and alias, files of 0.7, both spellings, and input that is no configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escale.cli.backups import ACTS
from escale.cli.escale import COMMANDS
from escale.conf import load as loading
from escale.conf.compose import FOLDED
from escale.conf.keys import OPTION, Scope
from escale.conf.limits import MaxDelete
from escale.conf.load import load
from escale.conf.settings import BackupSection, Config, Section
from escale.conf.table import KEYS
from escale.conf.table_backup import IN_BACKUPS, ONLY_BACKUPS

from .support import SECTION, config_of, load_text, write

DAY = 86400.0

VALUES = {
    "local path": "a",
    "protocol": "sftp",
    "address": "host.example.org/relay",
    "directory": "below",
    "port": "2222",
    "option NAME": "x",
    "proxy": "socks5://proxy:1080",
    "connect timeout": "20 s",
    "timeout": "30 s",
    "max retries": "7",
    "client name": "desk",
    "user": "jane",
    "password": "env: WORD",
    "certfile": "pem",
    "keyfile": "pem",
    "host key": "accept-new",
    "verify ssl": "no",
    "ca file": "pem",
    "ssl version": "TLSv1.3",
    "encryption": "on",
    "passphrase": "file: pem",
    "mode": "share",
    "push only": "yes",
    "pull only": "yes",
    "puller count": "3",
    "pullers": "anna, bert",
    "stale after": "2 d",
    "on stale": "release",
    "deletions": "keep",
    "max delete": "10%",
    "trash keep": "1 w",
    "trash size": "0",
    "deletion memory": "90 d",
    "refresh": "2 min",
    "settle": "0 s",
    "lock timeout": "1 h",
    "keep alive": "5 s",
    "file extension": "txt, .odt",
    "include": "*.txt",
    "exclude": "*~",
    "include directory": "docs",
    "exclude directory": "tmp",
    "ignore file": ".ignore",
    "hidden files": "no",
    "max file size": "1 GB",
    "index": "topdir:2",
    "relay format": "0.7",
    "compression": "zstd",
    "maxpagesize": "100 MB",
    "disk quota": "5 GB",
    "checksum": "sha256",
    "log file": "journal",
    "log level": "debug",
    "log rotate": "5",
    "log size": "2 MB",
    "log format": "json",
    "verbosity": "2",
    "state dir": "state",
    "control socket": "off",
    "include conf": "more/*.conf",
}
"""For each key a value other than its default."""

BACKUP_NAMES = ONLY_BACKUPS | {"role"}

ALIASES = [(key, name) for key in KEYS if key is not OPTION and key.name not in BACKUP_NAMES for name in key.names]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write(tmp_path, "escale-key-1 " + "A" * 43 + "=\n", "pem")
    return tmp_path


def test_the_dataclasses_have_the_keys_of_the_table() -> None:
    """One key table: what it has and the settings have not, or the other way round, fails here."""
    rows = [key for key in KEYS if key.has_effect and key is not OPTION and key.name not in FOLDED]
    program = {key.attribute for key in rows if key.scope is Scope.PROGRAM}
    section = {key.attribute for key in rows if key.scope is not Scope.PROGRAM and key.name not in BACKUP_NAMES}
    parts = {"path", "sections", "backups", "effective"}
    assert {field.name for field in dataclasses.fields(Config)} == program | parts
    assert {field.name for field in dataclasses.fields(Section)} == section | {"name", "options", "effective"}
    backup = {key.attribute for key in rows if key.name in IN_BACKUPS - {"role", "of", "local path"}} | {"paths"}
    assert {field.name for field in dataclasses.fields(BackupSection)} == backup | {"name", "options", "effective"}


def test_names_and_aliases_are_unambiguous() -> None:
    rows = [{loading.normal(name) for name in key.names} for key in KEYS]
    assert sum(map(len, rows)) == len(set.union(*rows))


def test_commands_are_reserved() -> None:
    assert set(COMMANDS) <= set(loading.COMMANDS)


def test_what_can_be_done_with_backups_is_no_section(tmp_path: Path) -> None:
    """`escalectl backup list x.tar` means one thing."""
    assert set(ACTS) == set(loading.ACTS)
    for name in ACTS:
        (problem,) = load_text(tmp_path, SECTION.replace("[a]", f"[{name}]")).problems
        assert problem.message == f"a section cannot be called '{name}': it is a command"
        assert problem.hint == f"rename it, e.g. [{name}1]"


@pytest.mark.parametrize(("key", "name"), ALIASES, ids=[name for _, name in ALIASES])
def test_each_alias_loads_in_any_spelling(place: Path, key: object, name: str) -> None:
    assert isinstance(key, loading.Key)
    lines = {"local path": "a", "address": "sftp://other/x", "passphrase": "file: pem"}
    lines.pop(key.name, None)
    if key.name in ("address", "directory", "port"):
        lines.pop("address", None)
        lines["protocol"] = "sftp"
        if key.name != "address":
            lines["address"] = "host.example.org/relay"
    for spelling in (name, name.upper().replace(" ", "_"), name.replace(" ", "-"), name.replace(" ", "")):
        line = f"{spelling} = {VALUES.get(key.name, 'anything')}\n"
        rest = "".join(f"{other} = {value}\n" for other, value in lines.items() if other != key.name)
        text = f"{line}[a]\n{rest}" if key.scope is Scope.PROGRAM else f"[a]\n{line}{rest}"
        loaded = load_text(place, text)
        assert loaded.config is not None, "\n".join(one.render() for one in loaded.problems)
        if not key.has_effect:
            assert "C105" in {one.code for one in loaded.problems}
            continue
        holder = loaded.config if key.scope is Scope.PROGRAM else loaded.config.sections[0]
        assert holder.origin(key.name).file == place / "test.conf"
        if key.name not in FOLDED:
            defaults = config_of(place, "[a]\nlocal path = b\naddress = sftp://x/y\npassphrase = file: pem\n")
            usual = defaults if key.scope is Scope.PROGRAM else defaults.sections[0]
            is_usual = getattr(holder, key.attribute) == getattr(usual, key.attribute)
            assert is_usual is (key.name in ("mode", "passphrase"))


def test_defaults(tmp_path: Path) -> None:
    config = config_of(tmp_path, SECTION)
    (section,) = config.sections
    assert (section.refresh, section.settle, section.lock_timeout, section.timeout) == (30.0, 3.0, 900.0, 120.0)
    assert (section.mode, section.encryption, section.index, section.relay_format) == ("shared", "off", 0, "1")
    assert (section.maxpagesize, section.disk_quota, section.include) == (200 * 1024**2, None, ())
    assert (section.hidden_files, section.checksum, section.puller_count) == (True, "sha512", None)
    assert (section.deletions, section.max_delete, section.pullers) == ("trash", MaxDelete(50, 25.0), None)
    assert (section.trash_keep, section.trash_size, section.deletion_memory) == (30 * DAY, 20 << 30, 365 * DAY)
    assert (section.stale_after, section.on_stale) == (7 * DAY, "hold")
    assert config.state_dir == tmp_path / ".local/state/escale"
    assert (config.log_file, config.control_socket, config.keep_alive, config.verbosity) == (None, None, None, 1)
    assert str(section.origin("refresh")) == "default"


def test_the_old_format_has_defaults_of_its_own(tmp_path: Path) -> None:
    (old,) = config_of(tmp_path, SECTION + "relay format = 0.7\nlock timeout = yes\n").sections
    assert (old.lock_timeout, old.hidden_files, old.compression) == (3 * DAY, False, "bz2")
    assert old.deletions == "keep"
    write(tmp_path, "escale-key-1 " + "A" * 43 + "=\n", "pem")
    (old,) = config_of(tmp_path, SECTION + "relay format = 0.7\nencryption = yes\nkey = pem\n").sections
    assert old.encryption == "fernet"


def test_a_section_overrides_what_stands_above(tmp_path: Path) -> None:
    other = SECTION.replace("[a]", "[b]").replace("= a", "= b").replace("= me", "= you")
    config = config_of(tmp_path, "settle = 7 s\n[DEFAULT]\nrefresh = 9 s\n" + SECTION + "settle = 8 s\n" + other)
    assert [(one.settle, one.refresh) for one in config.sections] == [(8.0, 9.0), (7.0, 9.0)]
    assert str(config.sections[0].origin("settle")).endswith("test.conf:9")
    assert str(config.sections[1].origin("settle")).endswith("test.conf:1")


@pytest.mark.parametrize(
    ("above", "own", "mode"),
    [
        ("push only = yes", "", "upload"),
        ("push only = yes", "mode = shared", "shared"),
        ("push only = yes", "pull only = yes", "download"),
        ("push only = yes", "push only = no", "shared"),
        ("mode = upload", "write only = yes", "download"),
        ("mode = protective", "", "conservative"),
    ],
)
def test_the_mode_is_what_was_said_nearest(tmp_path: Path, above: str, own: str, mode: str) -> None:
    assert config_of(tmp_path, f"{above}\n{SECTION}{own}\n").sections[0].mode == mode


@pytest.mark.parametrize(
    ("lines", "url"),
    [
        ("address = /mnt/relay", "file:///mnt/relay"),
        ("address = ~/relay", "file://HOME/relay"),
        ("address = ./relay", "file://HOME/relay"),
        ("protocol = file\naddress = Relay/x", "file://HOME/Relay/x"),
        ("directory = /mnt/relay", "file:///mnt/relay"),
        ("address = file:///mnt/a%20b", "file:///mnt/a b"),
        ("address = sftp://host:2222/srv/work/", "sftp://host:2222/srv/work"),
        ("address = ssh://jane@host/~/work", "sftp://host/~/work"),
        ("protocol = sftp\naddress = host\ndirectory = work", "sftp://host/~/work"),
        ("protocol = sftp\naddress = host/srv\ndirectory = work\nport = 23", "sftp://host:23/srv/work"),
        ("protocol = webdav\nhost address = dav.example.org\nrelay dir = work", "https://dav.example.org/work"),
        ("protocol = webdav\naddress = http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("address = https://dav.example.org/\ndirectory = /work", "https://dav.example.org/work"),
        ("address = s3://Bucket_1/work/x/", "s3://Bucket_1/work/x"),
        ("protocol = s3\naddress = bucket\ndirectory = work", "s3://bucket/work"),
        ("protocol = ftps\naddress = ftp.example.org", "ftps://ftp.example.org"),
        ("address = sftp://[::1]:22/x", "sftp://[::1]:22/x"),
        ("protocol = fsspec\naddress = smb://nas/share/x", "smb://nas/share/x"),
        ("protocol = dropbox\ndirectory = Escale/work", "dropbox:///Escale/work"),
        ("protocol = googledrive\ndirectory = work", "gdrive:///work"),
    ],
)
def test_addresses(tmp_path: Path, lines: str, url: str) -> None:
    (section,) = config_of(tmp_path, f"[a]\nlocal path = a\n{lines.replace('%', '%%')}\n").sections
    assert section.address.url == url.replace("HOME", str(tmp_path))


def test_the_user_of_the_address_is_the_user(tmp_path: Path) -> None:
    text = "[a]\nlocal path = a\naddress = sftp://jane@host/x\npassword = env: WORD\n"
    (section,) = config_of(tmp_path, text).sections
    assert section.user == section.address.user == "jane"
    assert section.password is not None and section.password.user == "jane"
    assert config_of(tmp_path, text + "user = joe\n").sections[0].user == "joe"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("disk quota", "1,5 GB", 1536 * 1024**2),
        ("disk quota", "3 kib", 3072),
        ("disk quota", "2 Go", 2 * 1024**3),
        ("disk quota", "8Mb", 1024**2),
        ("disk quota", "2000", 2000 * 1024**2),
        ("refresh", "1,5 min", 90.0),
        ("refresh", "45", 45.0),
        ("refresh", "1", 1.0),
        ("refresh", "no", None),
        ("refresh", "yes", 30.0),
        ("lock timeout", "no", None),
        ("settle", "1 h", 3600.0),
        ("file extension", "txt, .odt,", ("txt", ".odt")),
        ("include", "/a{1/, *.b", ("/a{1/", "*.b")),
        ("index", "topdir", 1),
        ("index", "Yes", 0),
        ("checksum", "no", None),
        ("ignore file", "", ""),
        ("user", "100%% sure", "100% sure"),
        ("exclude", "%(client name)s*", ("me*",)),
        ("verify ssl", "off", False),
        ("pullers", "anna, bert,anna", ("anna", "bert")),
        ("pullers", "2", 2),
        ("pullers", "2,", ("2",)),
        ("puller count", "2", 2),
        ("max delete", "off", MaxDelete()),
        ("max delete", "no", MaxDelete()),
        ("max delete", "0", MaxDelete(0)),
        ("max delete", "200 files", MaxDelete(200)),
        ("max delete", "12,5 %", MaxDelete(None, 12.5)),
        ("max delete", "12.5%%", MaxDelete(None, 12.5)),
        ("max delete", "50% or 100 files", MaxDelete(100, 50.0)),
        ("max delete", "100 or 50%", MaxDelete(100, 50.0)),
        ("trash keep", "0", None),
        ("trash keep", "0 d", None),
        ("trash keep", "2 w", 14 * 86400.0),
        ("trash size", "0", None),
        ("trash size", "0 GB", None),
        ("deletion memory", "1 d", 86400.0),
    ],
)
def test_values(tmp_path: Path, key: str, text: str, value: object) -> None:
    lines = SECTION.replace("file", "sftp\naddress = host") + f"maxpagesize = 1 KB\n{key} = {text}\n"
    (section,) = config_of(tmp_path, lines).sections
    assert getattr(section, key.replace(" ", "_")) == value


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("max delete = 100 or 50%", "50% or 100"),
        ("max delete = no", "off"),
        ("pullers = 2", "2"),
        ("pullers = bert,anna", "bert, anna"),
        ("trash keep = 0 d", "0"),
        ("trash size = 0", "0"),
    ],
)
def test_a_value_that_is_shown_is_read_as_the_same(tmp_path: Path, line: str, shown: str) -> None:
    key = line.partition(" =")[0]
    (section,) = config_of(tmp_path, SECTION + line + "\n").sections
    text = next(one.text for one in section.effective if one.name == key)
    assert text == shown
    (again,) = config_of(tmp_path, SECTION + f"{key} = {text}\n").sections
    assert getattr(again, key.replace(" ", "_")) == getattr(section, key.replace(" ", "_"))


def test_lists_and_numbers_of_toml(tmp_path: Path) -> None:
    text = '[repository.a]\nlocal-path = "a"\naddress = "/r"\npullers = ["anna", "bert"]\nmax-delete = 20\n'
    (section,) = config_of(tmp_path, text, "test.toml").sections
    assert (section.pullers, section.max_delete) == (("anna", "bert"), MaxDelete(20))
    text = text.replace('["anna", "bert"]', "2").replace("= 20", '= "25% or 50"')
    (section,) = config_of(tmp_path, text, "test.toml").sections
    assert (section.pullers, section.max_delete) == (2, MaxDelete(50, 25.0))


def test_options_are_passed_unchanged(tmp_path: Path) -> None:
    (section,) = config_of(tmp_path, "option a = 1\n" + SECTION + "option Endpoint_URL = https://x:9000\n").sections
    assert dict(section.options) == {"a": "1", "Endpoint_URL": "https://x:9000"}
    text = '[repository.a]\nlocal-path = "a"\naddress = "/r"\n[repository.a.option]\nn = 1\nd = {x = true}\n'
    (section,) = config_of(tmp_path, text, "test.toml").sections
    assert dict(section.options) == {"n": 1, "d": {"x": True}}


def test_further_files(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    further = "settle = 9 s\n" + SECTION.replace("[a]", "[b]").replace("= a", "= b").replace("= me", "= you")
    write(tmp_path / "conf.d", further, "b.conf")
    config = config_of(tmp_path, "include conf = conf.d/*.conf\n" + SECTION)
    assert [(one.name, one.settle) for one in config.sections] == [("a", 3.0), ("b", 9.0)]
    assert config.sections[1].local_path == tmp_path / "conf.d" / "b"
    write(tmp_path / "conf.d", "log level = info\n" + SECTION, "c.conf")
    found = {(one.file.name, one.line, one.code) for one in load(tmp_path / "test.conf", {}).problems}
    assert {("c.conf", 1, "C103"), ("c.conf", 2, "C004")} <= found


def test_key_files_that_are_still_to_be_made(tmp_path: Path) -> None:
    path = write(tmp_path, SECTION + "encryption = on\npassphrase = file: new.key\n")
    assert {one.code for one in load(path, {}).problems} == {"C206"}
    (section,) = load(path, {}, may_lack_keys=True).require().sections
    assert section.passphrase is not None and section.passphrase.path == tmp_path / "new.key"


CORPUS = {
    "the wizard's simple file": (
        "[work]\n# a comment\npath : a\nprotocol: webdav\nhost address: dav.example.org\nrelay dir: escale\n"
        "user: jane\npassword = pem\nindex = yes\nclient count = 2\nhomogeneous clients = yes\ndisk quota = 1\n"
        "maxpagesize = 1\n",
        {"mode": "shared", "disk_quota": 1024**2, "user": "jane"},
        {"C105", "C217"},
    ),
    "the wizard's expert file": (
        "[DEFAULT]\nrefresh = 60\nmaintainer = jane@example.org\nlog file = work.log\nlog level = debug\n"
        "keep alive = yes\n[work]\nlocal path = a\nprotocol = ftps\nhost = unused\n".replace("host = unused\n", "")
        + "host address = ftp.example.org\nhost port = 2121\nhost path = /escale\nauth user = jane\n"
        "secret file = pem\ncompact = topdir\nmax page size = 50 Mb\nquota = 2 GB\nread only = yes\npriority = push\n"
        "filter = *.odt, *.txt\nexclude directories = tmp, /build/\nlock timeout = 2 h\nretryonerror = 500, 503\n"
        "timestamp = %%Y%%m%%d\nsplit = 64 MB\nupload max wait = 600\nssl version = SSLv23\n",
        {"mode": "upload", "index": 1, "lock_timeout": 7200.0, "refresh": 60.0, "maxpagesize": 50 * 1024**2 // 8},
        {"C105", "C216"},
    ),
    "a file with values on several lines": (
        "[work]\r\nlocal path=a\r\naddress=/mnt/relay\r\ninclude =\r\n  *.txt,\r\n  *.odt\r\n\r\n; the end\r\n",
        {"include": ("*.txt", "*.odt")},
        set(),
    ),
    "a file from an editor that writes a mark in front": (
        "\ufeffrefresh = 5 s\n[work]\nlocal path = a\naddress = /mnt/relay\n",
        {"refresh": 5.0},
        set(),
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_files_of_07_load(place: Path, name: str) -> None:
    """GIVEN a file as 0.7 wrote or accepted it, WHEN it is read, THEN there are no errors and it means the same."""
    text, expected, warned = CORPUS[name]
    loaded = load_text(place, text)
    assert loaded.config is not None, "\n".join(one.render() for one in loaded.problems)
    assert {one.code for one in loaded.problems} == warned
    (section,) = loaded.config.sections
    assert {key: getattr(section, key) for key in expected} == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), suffix=st.sampled_from([".conf", ".toml"]))
def test_no_bytes_bring_it_down(tmp_path: Path, data: bytes, suffix: str) -> None:
    loaded = load_text(tmp_path, data, f"test{suffix}")
    assert loaded.config is None and loaded.problems


SCRAPS = (
    "[a]|[|]|=|:| |  |\n|\r\n|\t|#|;|%|%(a)s|%(include)s|include|passw|ord|option x|a|yes|1|1e9|/(/|,|'|\"|{|}|[[a]]|"
    "[repository.a]|@|://|\x00|\u2028|\x85|\x1c|é|\U0001f600|local path|address|file:|command:|[DEFAULT]"
)
WORDS = st.sampled_from(SCRAPS.split("|"))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORDS, max_size=40), suffix=st.sampled_from([".conf", ".toml"]))
def test_no_text_brings_it_down(tmp_path: Path, words: list[str], suffix: str) -> None:
    loaded = load_text(tmp_path, "".join(words), f"test{suffix}")
    for problem in loaded.problems:
        lines = problem.render().split("\n")
        assert len(lines) <= 4
        assert not problem.source_line or lines[2].index("^") <= len(lines[1])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from([key for key in KEYS if key is not OPTION]), value=st.text(max_size=30))
def test_no_value_brings_it_down(tmp_path: Path, key: loading.Key, value: str) -> None:
    line = f"{key.name} = {value}\n"
    load_text(tmp_path, line + SECTION if key.scope is Scope.PROGRAM else SECTION + line)
