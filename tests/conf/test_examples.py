"""What is documented is what is tested: the examples load, say the same, and the references are up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from escale.conf.load import Loaded, load
from escale.conf.lookup import find
from escale.conf.reference import man, markdown

from .support import write

ROOT = Path(__file__).parents[2]
EXAMPLES = ("conf.example", "conf.example.toml")
RELAYS = ("SFTP", "S3", "WebDAV", "FTP", "beside clients")


def effective(loaded: Loaded) -> list[tuple[str, str, str]]:
    assert loaded.config is not None, "\n".join(one.render() for one in loaded.problems)
    config = loaded.config
    return [("", one.name, one.text) for one in config.effective] + [
        (section.name, one.name, one.text) for section in config.sections for one in section.effective
    ]


def copied(directory: Path, name: str, relay: str | None = None) -> Path:
    """The example; with `relay`, its [work] uncommented with that block, beside key files that exist."""
    text = (ROOT / name).read_text()
    if relay is not None:
        head, _, rest = text.partition("#[work]" if name == "conf.example" else "#[repository.work]")
        head = head[: head.index("[alice]" if name == "conf.example" else "[repository.alice]")]
        blocks = rest.split("#\n")
        if relay == "beside clients":
            chosen = [blocks[0], next(block for block in blocks if block.startswith("# SFTP"))]
        else:
            chosen = [blocks[0], next(block for block in blocks if block.startswith("# encryption"))]
        chosen.append(next(block for block in blocks if block.startswith(f"# {relay}")))
        body = "".join(re.sub(r"(?m)^#(?=\S)", "", block) for block in chosen)
        text = f"{head}{'[work]' if name == 'conf.example' else '[repository.work]'}{body}"
    return write(directory, text, name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for path in (".config/escale/work.key", ".ssh/id_ed25519"):
        (tmp_path / path).parent.mkdir(parents=True)
        write(tmp_path, "escale-key-1 " + "A" * 43 + "=\n", path)
    return tmp_path


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_stands(tmp_path: Path, name: str) -> None:
    loaded = load(copied(tmp_path, name), {"HOME": str(tmp_path)})
    assert loaded.problems == ()
    sections = loaded.require().sections
    assert [one.local_path for one in sections] == [tmp_path / "demo-alice", tmp_path / "demo-bob"]
    assert {one.address.path for one in sections} == {str(tmp_path / "demo-relay")}
    assert {(one.refresh, one.settle) for one in sections} == {(2.0, 1.0)}


@pytest.mark.parametrize("relay", [None, *RELAYS])
def test_both_spellings_say_the_same(home: Path, relay: str | None) -> None:
    environ = {"HOME": str(home)}
    ini, toml = (load(copied(home, name, relay), environ) for name in EXAMPLES)
    assert effective(ini) == effective(toml)
    assert ini.problems == toml.problems == ()
    assert relay is None or len(ini.require().sections) == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_name_only_keys_that_exist(name: str) -> None:
    names = re.findall(r"(?m)^#?([a-z][a-z -]*?[a-z0-9_]*)\s*= ", (ROOT / name).read_text())
    assert len(names) > 20
    assert [one for one in names if find(one) is None and one != "option"] == []


def test_the_reference_is_made_from_the_table() -> None:
    assert (ROOT / "doc/reference/configuration.md").read_text() == markdown()
    assert (ROOT / "doc/man/escale.conf.5").read_text() == man()


@pytest.mark.skipif(not shutil.which("man"), reason="no man here")
def test_the_manual_page_has_no_warnings() -> None:
    page = ROOT / "doc/man/escale.conf.5"
    done = subprocess.run(["man", "-l", "--warnings", str(page)], capture_output=True, env={"LC_ALL": "C.UTF-8"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"local path" in done.stdout
