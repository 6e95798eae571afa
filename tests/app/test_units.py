"""The units that ship are understood by systemd, and the system one keeps the service in a small room."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
EXPOSURE_MAX = 2.0
"""`systemd-analyze security` calls up to here OK; most services are above 9."""

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT VERIFIED: systemd-analyze is missing (apt-get install systemd)"
)


def analyze(*words, tmp_path):
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_COLORS": "0", "COLUMNS": "200"}
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, env=environ, timeout=60)


@pytest.mark.parametrize(("name", "manager"), [("escale@.service", "--system"), ("escale.service", "--user")])
def test_systemd_has_nothing_to_complain_about(name, manager, tmp_path):
    text = (PACKAGING / name).read_text()
    assert re.search(r"^ExecStart=/usr/bin/escale( -c /etc/escale/%i\.conf)?$", text, re.M)
    # The program need not be installed where the tests run; any executable stands for it.
    (tmp_path / name).write_text(text.replace("/usr/bin/escale", sys.executable))
    done = analyze(manager, "--man=no", "verify", str(tmp_path / name), tmp_path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_hardened(tmp_path):
    done = analyze("security", "--offline=true", str(PACKAGING / "escale@.service"), tmp_path=tmp_path)
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)[1])
    assert exposure <= EXPOSURE_MAX, done.stdout


def test_what_the_code_promises_agrees_with_the_unit():
    from escale.app.daemon import STOP_S
    from escale.cli import exit_codes

    text = (PACKAGING / "escale@.service").read_text()
    assert float(re.search(r"TimeoutStopSec=(\d+)s", text)[1]) > STOP_S
    codes = re.search(r"RestartPreventExitStatus=(.*)", text)[1].split()
    assert codes == [str(exit_codes.PERMISSION), str(exit_codes.CONFIGURATION)]
