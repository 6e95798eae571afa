"""One running escale per configuration file, found by whoever knows the file."""

import os
import subprocess
import sys

import pytest

from escale.app.instance import Instance, LockFile
from escale.errors import AlreadyRunning, LocalError


def test_the_second_is_told_who_the_first_is(tmp_path):
    lock = LockFile(tmp_path / "a.pid")
    with pytest.raises(AlreadyRunning) as caught:
        LockFile(tmp_path / "a.pid")
    assert caught.value.pid == str(os.getpid())
    assert caught.value.exit_code == 16
    lock.release()
    LockFile(tmp_path / "a.pid").release()


def test_the_file_of_a_process_that_was_killed_is_harmless(tmp_path):
    code = "import os, sys; from escale.app.instance import LockFile; from pathlib import Path\n"
    code += "lock = LockFile(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.pid")], check=False)
    assert (tmp_path / "a.pid").read_text().strip().isdigit()
    LockFile(tmp_path / "a.pid").release()


def test_the_lock_is_for_its_owner_only(tmp_path):
    lock = LockFile(tmp_path / "state" / "a.pid")
    assert (tmp_path / "state" / "a.pid").stat().st_mode & 0o777 == 0o600
    lock.release()


def test_a_place_that_cannot_be_written_is_a_local_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError):
        LockFile(tmp_path / "file" / "a.pid")


def test_files_of_one_name_in_two_folders_do_not_meet(tmp_path):
    one, other = (Instance(tmp_path / folder / "x.conf", tmp_path / "state") for folder in ("a", "b"))
    assert one.lock_path != other.lock_path
    assert one.status_path != other.status_path
    assert one.sockets({})[-1] != other.sockets({})[-1]


def test_sockets_are_tried_in_the_documented_order(tmp_path):
    instance = Instance(tmp_path / "x.conf", tmp_path / "state")
    environ = {"ESCALE_SOCKET": "/e", "XDG_RUNTIME_DIR": "/run/user/7", "RUNTIME_DIRECTORY": "/run/escale/x:/other"}
    places = [str(place) for place in instance.sockets(environ, "/c")]
    assert places[:5] == ["/e", "/c", "/run/escale/x/ctl.sock", "/run/user/7/escale/x.sock", "/run/escale/x/ctl.sock"]
    assert places[5].startswith(str(tmp_path / "state"))
