"""Files of 0.7 brought up to date, with everything else where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from escale.conf.load import load
from escale.conf.upgrade import carry_out, plan_upgrade
from escale.errors import LocalError

from .support import load_text, write

OLD = """# the file of 2012
maintainer = jane@example.org
refresh    = 60$$$$$$

[work]
path : a
protocol = sftp
host address = host$$$
; what the relay may hold
quota      =   2
max page size = 80Mb
client count = 2
modification time = %%Y
  %%m
ssl version = SSLv3
lock timeout = 90
buffer_blocks = 9
dirr = x
pullers=3
""".replace("$", " ")
"""A dollar sign is a blank at the end of a line."""

NEW = """# the file of 2012
refresh    = 60 s$$$$$$
deletions = keep

[work]
path : a
protocol = sftp
host address = host$$$
; what the relay may hold
quota      =   2 MB
max page size = 10 MB
ssl version = TLS
lock timeout = 90 s
option buffer_blocks = 9
dirr = x
pullers=3
""".replace("$", " ")


def test_only_what_must_change_changes(tmp_path: Path) -> None:
    plan, problems = plan_upgrade(write(tmp_path, OLD, mode=0o640))
    assert problems == ()
    assert "-client count = 2" in plan.diff and "+option buffer_blocks = ***" in plan.diff
    kept = carry_out(plan)
    assert (tmp_path / "test.conf").read_text() == NEW
    assert (kept.name, kept.read_text()) == ("test.conf.bak", OLD)
    assert (tmp_path / "test.conf").stat().st_mode & 0o777 == 0o640
    assert plan_upgrade(tmp_path / "test.conf")[0].diff == ""


def test_an_upgraded_file_means_the_same_without_warnings(tmp_path: Path) -> None:
    text = OLD.replace("dirr = x\n", "").replace("buffer_blocks = 9\n", "").replace("80Mb", "8Mb")
    before = load_text(tmp_path, text)
    carry_out(plan_upgrade(tmp_path / "test.conf")[0])
    after = load(tmp_path / "test.conf", {"HOME": str(tmp_path)})
    assert before.config is not None and after.config is not None
    assert after.problems == ()
    shown = [{one.name: one.text for one in config.sections[0].effective} for config in (before.config, after.config)]
    assert (shown[0].pop("deletions"), shown[1].pop("deletions")) == ("trash", "keep")
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a]\npath = b\n", "deletions = keep\n[a]\npath = b\n"),
        ("# mine\n\n; of a\n[a]\npath = b\n", "# mine\n\ndeletions = keep\n; of a\n[a]\npath = b\n"),
        ("[DEFAULT]\nrefresh =\n  60 s\n\n[a]\n", "[DEFAULT]\nrefresh =\n  60 s\ndeletions = keep\n\n[a]\n"),
        ("[a]\npath = b\nmaintainer = me\n[DEFAULT]\ncache = x\n", "[a]\npath = b\n[DEFAULT]\ndeletions = keep\n"),
        ("deletions = propagate\n[a]\npath = b\n", None),
        ("[a]\npath = b\nrelay format = 0.7\n", None),
        ("[a]\npath = b\noption x = 1\n", None),
        ("# nothing\n", None),
    ],
)
def test_a_file_of_07_says_that_deletions_do_not_travel(tmp_path: Path, before: str, after: str | None) -> None:
    """GIVEN a file that only knows settings of 0.7, WHEN it is upgraded, THEN deletions stay where they are."""
    plan, _ = plan_upgrade(write(tmp_path, before))
    assert ("+deletions = keep" in plan.diff) is (after is not None)
    assert "\n".join(plan.lines) == (after or before)


def test_older_copies_are_kept(tmp_path: Path) -> None:
    write(tmp_path, "precious", "test.conf.bak")
    kept = carry_out(plan_upgrade(write(tmp_path, OLD))[0])
    assert kept.name == "test.conf.bak2"
    assert (tmp_path / "test.conf.bak").read_text() == "precious"


def test_line_endings_and_links_stay(tmp_path: Path) -> None:
    real = write(tmp_path, "[a]\r\nquota = 2\r\nsettle = 1 s\r\n", "real.conf")
    (tmp_path / "link.conf").symlink_to(real)
    carry_out(plan_upgrade(tmp_path / "link.conf")[0])
    assert real.read_bytes() == b"[a]\r\nquota = 2 MB\r\nsettle = 1 s\r\n"
    assert (tmp_path / "link.conf").is_symlink()


def test_a_failure_leaves_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, OLD)
    plan, _ = plan_upgrade(path)
    path.rename(tmp_path / "moved.conf")
    with pytest.raises(LocalError):
        carry_out(plan)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["moved.conf"]


def test_toml_files_have_nothing_old_in_them(tmp_path: Path) -> None:
    plan, _ = plan_upgrade(write(tmp_path, "[repository.a]\nquota = 2\n", "test.toml"))
    assert plan.diff == ""
