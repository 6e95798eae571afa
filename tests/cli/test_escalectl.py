"""The command `escalectl`, with a service that runs and without one."""

import json
import subprocess
import sys

import pytest

from escale.app.status import ServiceStatus

from .commands import User


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    user = User(tmp_path_factory.mktemp("ctl"), "quiet", "waits", "skips")
    with user.service() as service:
        for name in ("quiet", "waits", "skips"):
            if not any(event.get("section") == name and event.get("state") == "end" for event in service.events):
                service.next("pass", state="end", section=name)
        yield user
        service.process.terminate()
        assert service.end() == 0


def test_status_is_a_table_with_what_needs_you_at_the_end(running):
    done = running.escalectl("status")
    assert done.returncode == 0
    lines = done.stdout_text.splitlines()
    assert lines[0].startswith("escale 1.") and str(running.conf) in lines[0]
    assert lines[2].split() == ["section", "state", "to", "send", "to", "receive", "relay", "last", "pass", "peers"]
    assert [line.split("  ")[0] for line in lines[3:6]] == ["quiet", "waits", "skips"]
    assert lines[-2:] == ["needs you", "  skips  1 file cannot be read  escalectl pending skips"]


def test_status_as_json_has_a_schema(running):
    values = json.loads(running.escalectl("status", "--json").stdout_text)
    assert values.pop("running") is True
    assert values["schema"] == 1
    status = ServiceStatus.from_json(values)
    assert [section.section for section in status.sections] == ["quiet", "waits", "skips"]


def test_status_for_prompts_and_monitors(running):
    assert running.escalectl("status", "--short", "quiet").stdout_text == "ok\n"
    assert running.escalectl("status", "--short").stdout_text == "quiet ok\nwaits late\nskips ok\n"
    assert running.escalectl("status", "--check", "quiet").returncode == 0
    assert running.escalectl("status", "--check", "waits").returncode == 4
    assert running.escalectl("status", "--check").returncode == 5
    assert running.escalectl("status", "-r", "quiet", "--check").returncode == 0
    assert running.escalectl("status", "nowhere").returncode == 1


def test_pending_has_a_reason_for_every_file(running):
    done = running.escalectl("pending")
    lines = done.stdout_text.splitlines()
    assert done.returncode == 0
    assert lines[0].split() == ["reason", "since", "page", "file", "size"]
    assert (
        lines[1].startswith("quota") and "raw/IMG 1.CR3  (waiting for nas)" in lines[1] and lines[1].endswith("31 MB")
    )
    assert "caf\\xe9\\n" in lines[2]
    assert lines[3].startswith("2 files, 31 MB.  changing: is still being written; quota: ")


def test_pending_can_be_narrowed_and_read_by_programs(running):
    values = [json.loads(line) for line in running.escalectl("pending", "--json").stdout_text.splitlines()]
    assert [(value["section"], value["reason"]) for value in values] == [("waits", "quota"), ("waits", "changing")]
    assert values[1]["path_b64"] == "Y2Fm6Qo="
    assert len(running.escalectl("pending", "--reason", "quota").stdout_text.splitlines()) == 3
    assert running.escalectl("list-pending", "-0").stdout_text == "raw/IMG 1.CR3\0caf\udce9\n\0"
    assert running.escalectl("pending", "--check").returncode == 4
    assert running.escalectl("pending", "--check", "quiet").returncode == 0
    assert running.escalectl("pending", "nowhere").returncode == 1


def test_sync_and_wait(running):
    assert running.escalectl("sync", "quiet").returncode == 0
    assert running.escalectl("sync", "nowhere").returncode == 1
    assert running.escalectl("wait", "quiet").returncode == 0
    late = running.escalectl("wait", "waits", "--timeout", "0.5")
    assert late.returncode == 4
    assert "not in step after 0.5 s: waits waiting" in late.stderr_text


def test_a_closed_pipe_ends_it_quietly(running):
    words = [sys.executable, "-m", "escale.cli.escalectl", "-c", str(running.conf), "pending"]
    done = subprocess.run(
        ["sh", "-c", '"$@" | true', "sh", *words], env=running.environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_service_it_says_where_it_looked_and_what_was_last_known(tmp_path):
    user = User(tmp_path, "quiet")
    done = user.escalectl("status")
    assert done.returncode == 15
    assert "no running escale found (D610)" in done.stderr_text
    assert f"{tmp_path}/run/escale/x.sock" in done.stderr_text
    assert "last known" not in done.stderr_text
    with user.service() as service:
        service.next("pass", state="end")
        assert user.escalectl("stop").returncode == 0
        assert service.end() == 0
    done = user.escalectl("status")
    assert done.returncode == 15
    assert "last known state (status file, " in done.stderr_text and "quiet in step" in done.stderr_text
    done = user.escalectl("status", "--json")
    assert (done.returncode, json.loads(done.stdout_text)["running"]) == (15, False)
    for command in ("pending", "sync", "wait", "stop", "reload"):
        assert user.escalectl(command).returncode == 15


def test_after_a_kill_the_status_file_remains(tmp_path):
    user = User(tmp_path, "quiet")
    with user.service() as service:
        service.next("pass", state="end")
        assert user.escalectl("status").returncode == 0
        service.process.kill()
        service.process.wait()
    assert "last known state" in user.escalectl("status").stderr_text
    with user.service() as service:
        service.next("pass", state="end")
        assert user.escalectl("status", "--short").stdout_text == "ok\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [([], "which command?"), (["statsu"], "did you mean 'status'?"), (["status", "--jason"], "did you mean '--json'?")],
)
def test_a_command_line_that_is_not_understood_is_2(tmp_path, arguments, sentence):
    done = User(tmp_path, "quiet").run(*arguments, module="escale.cli.escalectl")
    assert done.returncode == 2
    assert sentence in done.stderr_text


def test_help_names_every_command(tmp_path):
    done = User(tmp_path, "quiet").run("--help", module="escale.cli.escalectl")
    assert done.returncode == 0
    for word in ("status", "pending", "peers", "conflicts", "sync", "wait", "approve", "stop", "reload"):
        assert f"\n  {word} " in done.stdout_text
