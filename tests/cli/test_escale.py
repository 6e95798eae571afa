"""The command `escale`, run as a user runs it, with an engine that does what a script says."""

import json
import os
import signal
import subprocess
import sys

import pytest

from .commands import ROOT, User

HEAVY = (
    "boto3",
    "botocore",
    "paramiko",
    "fsspec",
    "httpx",
    "rich",
    "nacl",
    "cryptography",
    "zstandard",
    "concurrent.futures.process",
)


@pytest.fixture
def user(tmp_path):
    return User(tmp_path, "quiet", "moves")


def test_help_names_every_command_and_common_option(user):
    done = user.run("--help")
    assert done.returncode == 0
    for word in (
        "--dry-run",
        "--once",
        "--daemon",
        "--json",
        "demo",
        "check",
        "keygen",
        "config",
        "--color",
        "examples",
    ):
        assert word in done.stdout_text
    assert "--accept-license" not in done.stdout_text
    assert done.stderr_text == ""


@pytest.mark.parametrize(
    "code", ["import escale.cli.escale as c; c.run_command(['--help'], {})", "import escale.cli.escalectl"]
)
def test_help_and_status_are_quick_because_they_import_little(code):
    watch = f"import sys\ntry:\n    {code}\nexcept SystemExit: pass\nprint('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, cwd=ROOT, timeout=60)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "escale" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_version(user):
    assert user.run("--version").stdout_text.startswith("escale 1.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dry-rum"], "did you mean '--dry-run'?"),
        (["--onc"], "did you mean '--once'?"),
        (["--color", "sometimes"], "invalid choice"),
        (["--timeout", "soon", "--once"], "'soon' is not a length of time"),
        (["--timeout", "5 s"], "--timeout needs --once"),
        (["-n", "-d"], "--dry-run goes neither with"),
        (["--once", "-d"], "exclude each other"),
        (["--json", "-d"], "exclude each other"),
        (["nowhere"], "there is no section or command 'nowhere'; sections here: quiet, moves"),
        (["run", "check"], "there is no section or command 'check'"),
    ],
)
def test_a_command_line_that_is_not_understood_is_2(user, arguments, sentence):
    done = user.escale(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr_text
    assert done.stdout_text == ""


def test_no_configuration_is_78_with_the_places_looked_at(user):
    done = user.run("--once")
    assert done.returncode == 78
    assert "C001" in done.stderr_text
    assert f"{user.place}/.config/escale/escale.conf" in done.stderr_text.replace("~", str(user.place))


def test_every_problem_of_the_configuration_is_shown_and_nothing_starts(user):
    user.conf.write_text(user.conf.read_text() + "refesh = 3\nmode = uplaod\n")
    done = user.escale("--once")
    assert done.returncode == 78
    lines = len(user.conf.read_text().splitlines())
    assert f"{user.conf}:{lines - 1}:1: error C101" in done.stderr_text
    assert f"{user.conf}:{lines}:8: error C205" in done.stderr_text
    assert "did you mean 'refresh'" in done.stderr_text
    assert "sent" not in done.stderr_text


def test_problems_of_the_configuration_are_objects_with_json(user):
    user.conf.write_text("refesh = 3\n" + user.conf.read_text())
    done = user.escale("--once", "--json")
    assert done.stderr_text == ""
    first, *_, last = (json.loads(line) for line in done.stdout_text.splitlines())
    assert (first["code"], first["file"], first["line"], first["severity"]) == ("C101", str(user.conf), 1, "error")
    assert last == {"type": "exit", "code": 78}


def test_config_says_each_problem_once(user):
    user.conf.write_text("refesh = 3\n" + user.conf.read_text())
    done = user.escale("config", "show")
    assert (done.returncode, done.stderr_text.count("C101")) == (78, 1)


def test_a_pipe_that_closes_ends_every_command_quietly(user):
    words = [sys.executable, "-m", "escale.cli.escale", "-c", str(user.conf), "config", "list"]
    done = subprocess.run(
        ["sh", "-c", '"$@" | true', "sh", *words], env=user.environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_once_ends_with_what_was_done(user):
    done = user.escale("--once")
    assert done.returncode == 0
    assert done.stdout_text == ""
    lines = done.stderr_text.splitlines()
    assert lines[-2:] == [
        "quiet: sent 0 files; received 0 files; in step",
        "moves: sent 1903 files, 1.0 GB in 7 min 2 s; received 12 files, 8.0 MB; in step",
    ]
    assert "moves: page 2024: sending 1903 files, 1.0 GB" in lines
    assert "\x1b" not in done.stderr_text


def test_quiet_says_nothing_when_all_is_well(user):
    done = user.escale("-q", "--once")
    assert (done.returncode, done.stderr_text) == (0, "")


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("moves", 0, "moves: sent 1903 files"),
        ("skips", 3, "1 file skipped: caf\\xe9.sqlite: it cannot be read"),
        ("unreachable", 13, "cannot reach sftp://relay: no answer (R301)"),
        ("refused", 12, "the relay refused user 'jane' (K202)"),
        ("full", 14, "the relay s3://bucket is full: 1.97 of 2.00 GB (R320)"),
        ("breaks", 1, "unexpected error: ZeroDivisionError: unforeseen (X900)"),
    ],
)
def test_once_tells_the_truth_in_its_exit_code(tmp_path, script, code, words):
    done = User(tmp_path, "quiet", script).escale("--once")
    assert done.returncode == code
    assert words in done.stderr_text


def test_of_several_sections_the_worst_counts(tmp_path):
    assert User(tmp_path, "skips", "unreachable", "refused", "quiet").escale("--once").returncode == 12
    assert User(tmp_path, "skips", "unreachable").escale("--once", "skips").returncode == 3


def test_once_gives_up_in_time(tmp_path):
    done = User(tmp_path, "quiet", "hangs").escale("--once", "--timeout", "0.5")
    assert done.returncode == 1
    assert "gave up after 0.5 s" in done.stderr_text


def test_once_that_is_interrupted_is_not_done(tmp_path):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with User(tmp_path, "hangs").service("--once") as service:
            service.next("page")
            os.kill(service.process.pid, number)
            assert service.end() == code


def test_json_is_one_object_per_line_and_the_last_is_the_exit(tmp_path):
    done = User(tmp_path, "moves", "skips").escale("--once", "--json")
    assert done.stderr_text == ""
    events = [json.loads(line) for line in done.stdout_text.splitlines()]
    assert (events[0]["type"], events[0]["schema"], events[0]["sections"]) == ("start", 1, ["moves", "skips"])
    assert events[-1] == {"type": "exit", "code": 3}
    skip = next(event for event in events if event["type"] == "skip")
    assert (skip["path"], skip["path_b64"], skip["code"]) == ("caf\ufffd.sqlite", "Y2Fm6S5zcWxpdGU=", "L101")
    progress = next(event for event in events if event["type"] == "progress")
    assert (progress["files_done"], progress["bytes"]) == (412, 1 << 30)


def test_json_problems_are_objects_too(user):
    done = user.run("--once", "--json", "-c", "/does/not/exist.conf")
    events = [json.loads(line) for line in done.stdout_text.splitlines()]
    assert [event["type"] for event in events] == ["problem", "problem", "exit"]
    assert [event["code"] for event in events[:2]] == ["C002", "C000"]
    assert events[-1]["code"] == done.returncode == 78


def test_dry_run_names_then_counts(user):
    done = user.escale("-n", "moves")
    assert done.returncode == 0
    assert done.stdout_text.splitlines() == [
        "send      new       plan.odt     47 KB",
        "conflict            todo.txt     both are kept, ours as todo.conflict-nas.txt",
        "skip      changing  live.sqlite  written 2 s ago",
        "wait      peer      page 2023    waiting for nas",
        "total: send 1 file 47 KB, receive 0 files 0 B, 1 conflicts, 1 skipped. Nothing was changed.",
    ]
    assert user.escale("-n", "--exit-code", "moves").returncode == 4
    assert user.escale("-n", "--exit-code", "quiet").returncode == 0


def test_the_environment_stands_for_options(user):
    done = user.run("--once", "quiet", ESCALE_CONFIG=str(user.conf), ESCALE_JSON="yes")
    assert json.loads(done.stdout_text.splitlines()[-1]) == {"type": "exit", "code": 0}
    wrong = user.escale("--once", ESCALE_JSON="perhaps")
    assert (wrong.returncode, "ESCALE_JSON is yes or no, not 'perhaps'" in wrong.stderr_text) == (2, True)
    wrong = user.escale("--once", ESCALE_PROGRESS="loud")
    assert (wrong.returncode, "ESCALE_PROGRESS=loud" in wrong.stderr_text) == (2, True)


def test_words_of_0_7_are_accepted(user):
    assert user.escale("-y", "--once", "-r", "quiet").returncode == 0


def test_lines_for_the_journal_carry_their_priority(tmp_path):
    user = User(tmp_path, "unreachable")
    with open(tmp_path / "journal", "w+") as journal:
        status = os.fstat(journal.fileno())
        words = [sys.executable, "-m", "tests.cli.scripted_escale", "-c", str(user.conf), "--once"]
        environ = {**user.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        subprocess.run(words, stderr=journal, env=environ, timeout=60)
        journal.seek(0)
        lines = journal.read().splitlines()
    assert (
        lines[0] == "<3>unreachable: cannot reach sftp://relay: no answer (R301); Changes here are kept and sent later."
    )
    assert all(line[0] == "<" and line[2] == ">" for line in lines)


def test_colour_follows_the_wishes_of_the_user(tmp_path):
    user = User(tmp_path, "unreachable")
    assert "\x1b[31mescale:\x1b[0m" in user.escale("--once", "--color", "always").stderr_text
    assert "\x1b" in user.escale("--once", FORCE_COLOR="1").stderr_text
    assert "\x1b" not in user.escale("--once", FORCE_COLOR="1", NO_COLOR="1").stderr_text


def test_the_second_with_the_same_configuration_is_16(user):
    with user.service() as service:
        service.next("pass", state="end")
        done = user.escale()
        assert done.returncode == 16
        assert f"process {service.process.pid} (D601)" in done.stderr_text
        assert user.escale("--once").returncode == 16
        assert user.escale("-n").returncode == 0
        service.process.terminate()
        assert service.end() == 0
    assert user.escale("--once").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop_is_0(user, number):
    with user.service() as service:
        service.next("pass", state="end", section="quiet")
        os.kill(service.process.pid, number)
        assert service.end() == 0
        assert service.events[-1] == {"type": "exit", "code": 0}
    assert not list((user.place / "run").rglob("*.sock"))


def test_two_interrupts_leave_the_step_in_hand(tmp_path):
    user = User(tmp_path, "quiet", "hangs")
    with user.service() as service:
        service.next("pass", state="end", section="quiet")
        os.kill(service.process.pid, signal.SIGINT)
        # The first one has arrived when the service stops listening to the other sections' news; ask it directly.
        os.kill(service.process.pid, signal.SIGINT)
        while service.process.poll() is None:
            os.kill(service.process.pid, signal.SIGINT)
            try:
                service.process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert service.end() == 130


def test_usr2_begins_a_pass_and_usr1_tells_the_state(user):
    with user.service("quiet") as service:
        service.next("pass", state="end")
        os.kill(service.process.pid, signal.SIGUSR1)
        os.kill(service.process.pid, signal.SIGUSR2)
        service.next("pass", state="end")
        service.process.terminate()
        assert service.end() == 0


def test_hup_keeps_the_old_configuration_when_the_new_one_is_broken(user):
    with user.service() as service:
        service.next("pass", state="end", section="quiet")
        service.next("pass", state="end", section="moves")
        user.conf.write_text(user.conf.read_text() + "refesh = 3\n")
        done = user.escalectl("reload")
        assert done.returncode == 78
        assert "refesh" in done.stderr_text
        assert "refesh" in user.escalectl("status").stdout_text
        user.write_conf("quiet", "waits")
        os.kill(service.process.pid, signal.SIGHUP)
        service.next("pass", state="end", section="waits")
        assert [
            section["section"] for section in json.loads(user.escalectl("status", "--json").stdout_text)["sections"]
        ] == [
            "quiet",
            "waits",
        ]
        service.process.terminate()
        assert service.end() == 0


def test_systemd_is_told_when_it_is_ready(user):
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(user.place / "notify"))
        manager.settimeout(30)
        with user.service("quiet", NOTIFY_SOCKET=str(user.place / "notify")) as service:
            heard = []
            while "READY=1" not in heard or not any(message.startswith("STATUS=quiet in step") for message in heard):
                heard.append(manager.recv(4096).decode())
            os.kill(service.process.pid, signal.SIGHUP)
            while not any(message.startswith("RELOADING=1\nMONOTONIC_USEC=") for message in heard):
                heard.append(manager.recv(4096).decode())
            assert manager.recv(4096) == b"READY=1"
            service.process.terminate()
            while not any(message.startswith("STOPPING=1") for message in heard):
                heard.append(manager.recv(4096).decode())
            assert service.end() == 0


def test_in_the_background_it_writes_its_log_with_a_narrow_mode(user):
    log = user.place / "escale.log"
    user.write_conf("quiet", head=f"log file = {log}\n")
    done = user.escale("-d", "--pid-file", str(user.place / "pid"))
    assert done.returncode == 0, done.stderr_text
    try:
        assert user.escalectl("wait", "--timeout", "30").returncode == 0
        status = json.loads(user.escalectl("status", "--json").stdout_text)
        assert (user.place / "pid").read_text() == f"{status['pid']}\n"
        assert status["pid"] != done.pid
        assert user.escale("--once").returncode == 16
    finally:
        assert user.escalectl("stop").returncode == 0
    assert log.stat().st_mode & 0o077 == 0


def test_a_reader_that_goes_away_ends_json_quietly(user):
    with user.service() as service:
        service.next("pass", state="end", section="quiet")
        service.next("pass", state="end", section="moves")
        service.process.stdout.close()
        os.kill(service.process.pid, signal.SIGUSR2)
        assert service.process.wait(60) in (0, 1)
        assert service.process.stderr.read() == ""


def test_a_state_directory_that_cannot_be_made_is_77(user):
    (user.place / "state").write_text("not a directory")
    done = user.escale("--once", "quiet", XDG_STATE_HOME=str(user.place / "state"))
    assert done.returncode == 77
    assert "L101" in done.stderr_text


def test_an_unexpected_error_is_two_sentences_and_a_file(user):
    done = user.escale("-n", "quiet", SCRIPTED_PREVIEW="breaks")
    assert done.returncode == 1
    first, second = done.stderr_text.splitlines()
    assert first == "escale: unexpected error: ZeroDivisionError: unforeseen (X900)"
    report = user.place / ".local/state/escale/errors.log"
    assert str(report) in second
    assert "ZeroDivisionError: unforeseen" in report.read_text()


def test_on_a_terminal_bars_move_and_go_away(user):
    pytest.importorskip("rich")
    primary, secondary = os.openpty()
    words = [sys.executable, "-m", "tests.cli.scripted_escale", "-c", str(user.conf), "--once", "moves"]
    process = subprocess.Popen(words, stderr=secondary, env={**user.environ, "TERM": "xterm", "COLUMNS": "120"})
    os.close(secondary)
    seen = b""
    try:
        while piece := os.read(primary, 4096):
            seen += piece
    except OSError:
        pass  # How Linux says that the other end of a terminal was closed.
    os.close(primary)
    assert process.wait(60) == 0
    text = seen.decode()
    assert "412 of 1903 files" in text and "256 MB of 1.0 GB" in text
    assert "\x1b[2K" in text, "the bars are taken away"
    assert "moves: sent 1903 files, 1.0 GB in 7 min 2 s; received 12 files, 8.0 MB; in step" in text
    assert "Traceback" not in text


def test_on_a_dumb_terminal_there_are_lines(user):
    primary, secondary = os.openpty()
    words = [sys.executable, "-m", "tests.cli.scripted_escale", "-c", str(user.conf), "--once", "quiet"]
    process = subprocess.Popen(words, stderr=secondary, env={**user.environ, "TERM": "dumb"})
    os.close(secondary)
    assert process.wait(60) == 0
    assert os.read(primary, 4096) == b"quiet: sent 0 files; received 0 files; in step\r\n"
    os.close(primary)
