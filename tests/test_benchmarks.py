"""The benchmarks measure what they say, on data that are the same everywhere; how fast, no test asks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import backup, data
from benchmarks.__main__ import main
from benchmarks.backup_contenders import Escale
from benchmarks.meter import Failed, measure
from benchmarks.stage import DIRECTORY, Stage

REAL = pytest.mark.real


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: data.make_small(folder, files=40, folders=4),
        lambda folder: data.make_big(folder, size=data.MEBIBYTE + 1),
        lambda folder: data.make_pages(folder, pages=3),
    ],
    ids=["small", "big", "pages"],
)
def test_data_are_the_same_every_time(make: Callable[[Path], None], tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        make(folder)
    assert data.digests(here) == data.digests(there) != {}
    assert _times(here) == _times(there)


def test_an_edit_changes_the_same_files_every_time_and_no_others(tmp_path: Path) -> None:
    data.make_small(tmp_path, files=40, folders=4)
    before, times = data.digests(tmp_path), _times(tmp_path)
    assert data.edit(tmp_path, share=0.1) == 4
    after = data.digests(tmp_path)
    changed = {path for path in before if before[path] != after[path]}
    assert len(changed) == 4 and before.keys() == after.keys()
    assert {path for path, time in _times(tmp_path).items() if times[path] != time} == changed


@pytest.mark.parametrize(
    ("relay", "files"),
    [
        ("directory", "mixed"),
        pytest.param("sftp", "small", marks=REAL("sshd")),
        pytest.param("s3", "small", marks=REAL("rclone_s3")),
    ],
)
def test_versions_are_measured_step_by_step(
    relay: str, files: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    way = ["--relay", relay, "--round-trip", "0" if relay == "directory" else "2", "--contender", "escale"]
    backup.main([*way, "--data", files, "--source", str(tmp_path), "--files", "200", "--database", "1"])
    told = capsys.readouterr().out.splitlines()
    for line, step in zip(told, backup.STEPS, strict=True):
        assert re.match(rf"{files} +{relay} .* {step} +escale ", line)
        assert re.search(r" [\d.]+ s +[\d.]+ cpu s +\d+ MiB .*[+-][\d.]+ MiB stored", line)
        assert bool(re.search(r" [1-9]\d* turns ", line)) is (relay != "directory")


def test_a_version_that_does_not_come_back_as_it_was_is_not_measured(tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "place"
    source.mkdir()
    place.mkdir()
    data.make_small(source, files=3, folders=1)
    with Stage(DIRECTORY, 0.0) as stage:
        ours = Escale("escale", place, source, stage.relay())
        course = backup.Course(stage, source, [ours])
        measure(ours.prepare(), None)
        course.save(ours)
        assert course.restore(ours).wall_s > 0
        min(source.rglob("*.txt")).write_bytes(b"other")
        with pytest.raises(Failed, match="something else"):
            course.restore(ours)


def test_a_quick_run_measures_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "runs.json"
    options = ["--quick", "--relay", "sftp", "--delay-ms", "2", "--contender", "escale", "--json", str(told)]
    assert main(["small", *options]) == 0
    (result,) = json.loads(told.read_text())
    push, pull = result["steps"]["push"][0], result["steps"]["pull"][0]
    assert push["up"] > push["down"] > 0 and pull["down"] > pull["up"] > 0
    assert all(
        step["wall_s"] > 0 and step["cpu_s"] > 0 and step["turns"] > 0 and step["peak"] > 0 for step in (push, pull)
    )
    assert "| small | sftp " in capsys.readouterr().out


def _times(folder: Path) -> dict[str, float]:
    return {str(path.relative_to(folder)): path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}
