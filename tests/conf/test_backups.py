"""Sections with role = backup, in both spellings."""

from __future__ import annotations

from pathlib import Path

import pytest

from escale.backup.retention import FOREVER, Keep
from escale.conf.keeping import KeepRules
from escale.conf.kinds import Place
from escale.conf.schedule import Schedule

from .support import SECTION, config_of

INI = """
exclude = *.tmp
schedule = hourly
[home]
role = backup
path = home, /etc
store = sftp://me@host/versions
password = literal: door
passphrase = literal: correct horse
keep = 7 daily, all yearly, within 30 d
"""
TOML = """
exclude = ["*.tmp"]
schedule = "hourly"
[repository.home]
role = "backup"
path = ["home", "/etc"]
store = "sftp://me@host/versions"
password = { literal = "door" }
passphrase = { literal = "correct horse" }
keep = ["7 daily", "all yearly", "within 30 d"]
"""


@pytest.mark.parametrize(("name", "text"), [("a.conf", INI), ("a.toml", TOML)])
def test_a_backup_section(tmp_path: Path, name: str, text: str) -> None:
    config = config_of(tmp_path, text, name)
    assert config.sections == () and config.verbosity == 1
    (home,) = config.backups
    assert home.paths == (tmp_path / "home", Path("/etc"))
    assert (home.address.url, home.user, home.exclude) == ("sftp://host/versions", "me", ("*.tmp",))
    assert home.schedule == Schedule(hour_minute=0)
    assert home.keep == Keep(daily=7, yearly=FOREVER, within_s=30 * 86400.0)
    assert home.hidden_files and home.password is not None
    assert "correct horse" not in repr(config) + "".join(one.text for one in home.effective)


def test_a_backup_of_another_section(tmp_path: Path) -> None:
    text = SECTION + "[b]\nrole = backup\nof = a\nstore = /s\npassphrase = literal: x\n"
    config = config_of(tmp_path, text)
    assert [one.name for one in config.everything] == ["a", "b"]
    assert config.backups[0].paths == (config.sections[0].local_path,)
    assert config.backups[0].keep == Keep(daily=7, weekly=4, monthly=12)
    assert config.backups[0].schedule == Schedule(minutes=(0,))


def test_settings_above_the_sections_hold_where_they_mean_something(tmp_path: Path) -> None:
    backup = "[b]\nrole = backup\nof = a\nstore = /s\npassphrase = literal: x\n"
    config = config_of(tmp_path, f"mode = upload\nkeep = 3 last\n{SECTION}{backup}")
    assert config.sections[0].mode == "upload" and config.backups[0].keep == Keep(last=3)


@pytest.mark.parametrize("text", ["all", "1 last", "2 hourly, 3 daily, 4 weekly, 5 monthly, all yearly, within 2 d"])
def test_what_is_shown_can_be_written(text: str) -> None:
    kind, place = KeepRules(), Place("keep", Path("/"), {}, lambda bad: None)
    assert kind.show(kind.parse(text, place)) == text
    assert kind.parse("all", place).is_empty
