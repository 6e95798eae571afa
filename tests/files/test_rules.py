"""Which files take part: the original's patterns, hidden names, sizes, ignore files."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escale.files.ignore import Ignore
from escale.files.rules import Rules, compile_pattern
from escale.files.tree import Kind, path_text

ANY_PATH = st.lists(
    st.binary(min_size=1, max_size=12).map(lambda raw: path_text(raw.replace(b"/", b"_").replace(b"\0", b"_"))),
    min_size=1,
    max_size=5,
).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a", "abc", True),  # anchored at the beginning only
        ("a", "ba", False),
        ("*.txt", "x.txt", True),
        ("*.txt", "x.txt.bak", True),
        ("*.txt", "xtxt", False),  # the dot is a dot
        ("*.txt", ".txt", True),
        ("a*c", "a\nc", True),
        ("a+(b)", "a+(b)", True),  # only * is special
        ("a+", "aa", False),
        ("/a+$/", "aaa", True),
        ("/a+$/", "aab", False),
        ("/b/", "ab", False),  # a regular expression is anchored too
        ("/.*b/", "ab", True),
        ("/a", "ab", True),  # the closing slash may be missing
        ("*", "caf\udce9", True),
    ],
)
def test_patterns_mean_what_the_original_means(pattern: str, text: str, matches: bool) -> None:
    assert bool(compile_pattern(pattern).match(text)) is matches


def test_a_bad_expression_is_refused_when_the_rules_are_made() -> None:
    with pytest.raises(re.error):
        Rules(exclude_directory=("/(/",))


@pytest.mark.parametrize(
    ("rules", "path", "reason"),
    [
        (Rules(), "a/b.txt", None),
        (Rules(include=("*.txt",)), "a/b.txt", None),
        (Rules(include=("*.txt",)), "a.txt/b", "not in include"),  # the base name, not the directory
        (Rules(include=("x", "b")), "a/b.txt", None),
        (Rules(exclude=("b",)), "a/b.txt", "exclude = b"),
        (Rules(exclude=("a",)), "a/b.txt", None),
        (Rules(include=("*.txt",), exclude=("b",)), "b.txt", "exclude = b"),
        (Rules(include_directory=("a",)), "a/deep/b", None),
        (Rules(include_directory=("a",)), "top", None),  # the folder itself is no directory to be filtered
        (Rules(include_directory=("a",)), "c/b", "not in include directory: c"),
        (Rules(include_directory=("a/b",)), "a/b/c", "not in include directory: a"),  # each level in turn
        (Rules(exclude_directory=("a/b",)), "a/b/c/d", "exclude directory = a/b: a/b"),
        (Rules(exclude_directory=("a/b",)), "a/c", None),
        (Rules(exclude_directory=("/(.*/)?build$/",)), "x/build/y", "exclude directory = /(.*/)?build$/: x/build"),
        (Rules(extensions=("txt", ".md")), "a.md", None),
        (Rules(extensions=("txt", ".md")), "a.txt", None),
        (Rules(extensions=("gz",)), "a.tar.gz", None),
        (Rules(extensions=("txt",)), "txt", "not in file extension"),
        (Rules(hidden=True, extensions=("txt",)), ".txt", "not in file extension"),
        (Rules(), ".b", "hidden files = no"),
        (Rules(), "a/.c/b", "hidden files = no: the directory a/.c"),
        (Rules(hidden=True), "a/.c/.b", None),
        (Rules(hidden=True), ".escale/x", "escale's own directory"),
        (Rules(hidden=True), ".escale", "escale's own directory"),
        (Rules(hidden=True), "a/.escale", None),
        (Rules(extensions=("txt",)), "a/.escaleignore", None),  # ignore files always travel
        (Rules(exclude=("*",)), ".escaleignore", None),
        (Rules(ignore_file=""), ".escaleignore", "hidden files = no"),
        (Rules(size_max=9), "a", "max file size = 9 bytes: it has 10"),
        (Rules(size_max=10), "a", None),
    ],
)
def test_each_rule_says_why(rules: Rules, path: str, reason: str | None) -> None:
    assert rules.why_not(path, 10) == reason


@pytest.mark.parametrize(
    ("rules", "path", "kind", "reason"),
    [
        (Rules(), "a/b", Kind.DIRECTORY, None),
        (Rules(exclude=("b",), size_max=1), "a/b", Kind.DIRECTORY, None),  # these are about files
        (Rules(exclude_directory=("a/b",)), "a/b", Kind.DIRECTORY, "exclude directory = a/b: a/b"),
        (Rules(), "a/.b", Kind.DIRECTORY, "hidden files = no: the directory a/.b"),
        (Rules(), ".a/b", Kind.DIRECTORY, "hidden files = no: the directory .a"),
        (Rules(hidden=True), ".escale", Kind.DIRECTORY, "escale's own directory"),
        (Rules(include=("b",)), "b", Kind.DIRECTORY, "directories are made only for the files chosen"),
        (Rules(extensions=("b",)), "a.b", Kind.DIRECTORY, "directories are made only for the files chosen"),
        (Rules(size_max=1), "a", Kind.LINK, None),
        (Rules(exclude=("a",)), "a", Kind.LINK, "exclude = a"),
        (Rules(exclude_directory=("a",)), "a", Kind.LINK, None),
        (Rules(exclude_directory=("a",)), "a/b", Kind.LINK, "exclude directory = a: a"),
        (Rules(exclude=("a",)), "a", Kind.GONE, None),  # it may have been a directory
        (Rules(exclude_directory=("a",)), "a", Kind.GONE, None),  # or a file
        (Rules(exclude=("a",), exclude_directory=("a",)), "a", Kind.GONE, "exclude = a"),
        (Rules(exclude=("a",), include=("*",)), "a", Kind.GONE, "exclude = a"),
        (Rules(size_max=1), "a", Kind.GONE, None),
    ],
)
def test_each_kind_has_its_rules(rules: Rules, path: str, kind: Kind, reason: str | None) -> None:
    assert rules.why_not(path, 10, kind) == reason


def ignoring(**files: bytes) -> Rules:
    """Rules with ignore files; `top` is that of the folder, `a__b` that of a/b."""
    rules = Rules()
    for directory, content in files.items():
        rules = rules.with_ignore(Ignore.parse("" if directory == "top" else directory.replace("__", "/"), content))
    return rules


@pytest.mark.parametrize(
    ("rules", "path", "reason"),
    [
        (ignoring(top=b"# objects\n\n*.o\n"), "a/b.o", ".escaleignore, line 3: *.o"),
        (ignoring(top=b"*.o\n!keep.o\n"), "a/keep.o", None),
        (ignoring(top=b"/x\n"), "x", ".escaleignore, line 1: /x"),
        (ignoring(top=b"/x\n"), "a/x", None),
        (ignoring(top=b"build/\n"), "a/build/x", ".escaleignore, line 1: build/"),
        (ignoring(top=b"build/\n"), "a/build", None),  # a file of that name
        (ignoring(top=b"build/\n!build/x\n"), "build/x", ".escaleignore, line 1: build/"),  # as git: not entered at all
        (ignoring(top=b"*.o\n", a=b"!x.o\n"), "a/x.o", None),  # the nearest wins
        (ignoring(top=b"*.o\n", a=b"!x.o\n"), "a/y.o", ".escaleignore, line 1: *.o"),
        (ignoring(top=b"!x.o\n", a__b=b"*.o\n"), "a/b/x.o", "a/b/.escaleignore, line 1: *.o"),
        (ignoring(a=b"/x\n"), "a/x", "a/.escaleignore, line 1: /x"),
        (ignoring(a=b"/x\n"), "x", None),
        (ignoring(top=b"x\r\n"), "x", ".escaleignore, line 1: x"),
        (ignoring(top=b"\xef\xbb\xbfx\n"), "x", ".escaleignore, line 1: x"),
        (ignoring(top=b"caf\xe9*\n"), "caf\udce9.txt", ".escaleignore, line 1: caf\udce9*"),
        (ignoring(top=b"*.o"), "two\nlines.o", ".escaleignore, line 1: *.o"),
        (ignoring(top=b"*"), ".escaleignore", None),
    ],
)
def test_ignore_files_follow_gitignore(rules: Rules, path: str, reason: str | None) -> None:
    assert rules.why_not(path, 1) == reason


def test_a_line_that_is_no_pattern_is_named_and_the_others_hold() -> None:
    ignore = Ignore.parse("", b"*.o\n!\n*.tmp\n")
    assert ignore.unreadable_lines == (2,)
    assert ignore.verdict("a.tmp") == (True, 3)


@given(path=ANY_PATH, content=st.binary(max_size=60), pattern=st.text(max_size=6).map(lambda text: text.lstrip("/")))
def test_no_name_and_no_ignore_file_makes_the_rules_fail(path: str, content: bytes, pattern: str) -> None:
    rules = Rules(exclude=(pattern + "x",), exclude_directory=(pattern + "y",)).with_ignore(Ignore.parse("", content))
    reason = rules.why_not(path, 1)
    assert reason is None or reason


@given(path=ANY_PATH)
def test_a_path_takes_part_just_when_a_scan_would_come_to_it(path: str) -> None:
    rules = Rules(exclude=("a",), exclude_directory=("b",)).with_ignore(Ignore.parse("", b"c*\n!cd\n"))
    parts = path.split("/")
    entered = all(rules.enter("/".join(parts[:depth])) for depth in range(1, len(parts)))
    assert (rules.why_not(path, 1) is None) == (entered and rules.why_not_file(path) is None)
