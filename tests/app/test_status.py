"""Status values survive the file and the socket, and a reader never sees half a file."""

import json

import pytest

from escale.app.status import (
    Amount,
    Need,
    PendingFile,
    Reason,
    SectionState,
    SectionStatus,
    ServiceStatus,
    read_status,
    write_status,
)
from escale.errors import LocalError

SECTION = SectionStatus(
    "work",
    SectionState.SENDING,
    Amount(2, 50),
    Amount(0, 0),
    10,
    100,
    1700000000.5,
    ("nas",),
    ("studio",),
    (Need("nas is late", "escalectl pending work"),),
)
SERVICE = ServiceStatus(
    "1.0.0", "/etc/escale/work.conf", "laptop", 42, 1700000001.0, 1699999999.0, 5.0, (SECTION,), ("oh",)
)


def test_a_status_comes_back_from_its_file(tmp_path):
    write_status(tmp_path / "status.json", SERVICE)
    assert read_status(tmp_path / "status.json") == SERVICE
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
    assert next(iter(json.loads((tmp_path / "status.json").read_text()))) == "schema"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1, "sections": 5}', "\x00"])
def test_what_is_not_a_status_is_none(tmp_path, text):
    path = tmp_path / "status.json"
    path.write_text(text)
    assert read_status(path) is None


def test_a_state_that_is_not_known_here_is_not_a_status(tmp_path):
    values = SERVICE.as_json()
    values["sections"][0]["state"] = "dancing"
    with pytest.raises(ValueError):
        ServiceStatus.from_json(values)


def test_there_is_no_status_where_there_is_no_file(tmp_path):
    assert read_status(tmp_path / "missing") is None


def test_a_directory_that_is_not_there_is_a_local_error(tmp_path):
    with pytest.raises(LocalError):
        write_status(tmp_path / "missing" / "status.json", SERVICE)


def test_a_path_that_is_not_utf_8_survives_json():
    file = PendingFile("caf\udce9", "page", Reason.CHANGING, None, 3)
    values = json.loads(json.dumps({"path": file.path, "page": "page", "reason": "changing", "since": None, "size": 3}))
    assert PendingFile.from_json(values) == file


def test_every_reason_has_a_meaning_and_every_state_a_short_word():
    assert all(reason.meaning for reason in Reason)
    words = {"starting", "ok", "sending", "receiving", "late", "held", "error", "off"}
    assert {state.short for state in SectionState} == words


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "[" * 100_000, '{"schema": 1, "sections": 5}'])
def test_a_file_that_is_no_status_is_none(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path / "status.json") is None
