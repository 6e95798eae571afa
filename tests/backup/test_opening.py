"""Making and opening a repository, with whoever else may be doing that or died while doing it."""

from __future__ import annotations

import pytest

from escale.backup.config import Config
from escale.backup.keys import WrongPassword
from escale.backup.repository import NoRepository, Repository, RepositoryExists
from escale.errors import Corrupt

from .places import MACHINE, Place

NOW = 4_000_000_000.0


class Died(Exception):
    """The process does not come back."""


@pytest.fixture
def place() -> Place:
    return Place()


def init(place: Place, password: str = "door") -> Repository:
    return Repository.init(place.store, password, None, MACHINE, NOW)


def test_what_was_made_opens_and_nothing_else_does(place: Place) -> None:
    made = init(place)
    assert Repository.open(place.store, "door", None).config == made.config
    with pytest.raises(WrongPassword):
        Repository.open(place.store, "window", None)
    with pytest.raises(NoRepository):
        Repository.open(Place().store, "door", None)


def test_a_death_between_the_key_and_the_config_locks_nobody_out(place: Place) -> None:
    """GIVEN somebody who died while making a repository WHEN it is made again THEN there is one key, that opens it."""

    def dies(verb: str, name: str) -> None:
        if name == "config":
            raise Died

    place.before = dies
    with pytest.raises(Died):
        init(place)
    place.before = lambda verb, name: None
    made = init(place)
    assert len(place.names("keys")) == 1
    assert Repository.open(place.store, "door", None).config == made.config


def test_of_two_who_make_one_the_second_leaves_nothing(place: Place) -> None:
    def first(verb: str, name: str) -> None:
        if name == "config":
            place.before = lambda verb, name: None
            init(place, "other")

    place.before = first
    with pytest.raises(RepositoryExists):
        init(place)
    assert len(place.names("keys")) == 1
    assert isinstance(Repository.open(place.store, "other", None).config, Config)


def test_a_key_that_does_not_fit_is_passed_over(place: Place) -> None:
    """Whatever left it there: the right key is found beside it."""
    made, other = init(place), Place()
    init(other)
    place.blobs |= {name: blob for name, blob in other.blobs.items() if name.startswith("keys/")}
    assert Repository.open(place.store, "door", None).config == made.config


def test_one_more_password_opens_it_too(place: Place) -> None:
    made = init(place)
    made.add_key("window", MACHINE, NOW)
    for password in ("door", "window"):
        assert Repository.open(place.store, password, None).config == made.config


def test_the_key_that_opened_it_last_need_not_be_looked_for(place: Place) -> None:
    made = init(place)
    assert [f"keys/{made.key}"] == place.names("keys")
    assert Repository.open(place.store, "door", None).key == made.key
    made.add_key("window", MACHINE, NOW)
    for key in place.names("keys"):
        name = key.rpartition("/")[2]
        opened = Repository.open(place.store, "door", None, name)
        assert (opened.config, opened.key) == (made.config, made.key)


@pytest.mark.parametrize("how", ["gone", "cut", "flipped"])
def test_a_key_that_opened_it_last_and_is_not_what_it_was_opens_nothing(place: Place, how: str) -> None:
    made = init(place)
    other = made.add_key("window", MACHINE, NOW)
    place.damage(f"keys/{made.key}", how)
    with pytest.raises(WrongPassword if how == "gone" else Corrupt):
        Repository.open(place.store, "door", None, made.key)
    opened = Repository.open(place.store, "window", None, made.key)
    assert (opened.config, opened.key) == (made.config, other)


def test_a_name_of_a_key_that_is_none_is_passed_over(place: Place) -> None:
    made = init(place)
    assert Repository.open(place.store, "door", None, "../config").key == made.key
