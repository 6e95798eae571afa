"""The service: orders, reading the configuration again, the status file, and its end."""

import threading

import pytest

from escale.app.daemon import Order, Service
from escale.app.instance import Instance
from escale.app.notify import Notifier
from escale.app.status import PassResult, SectionState, read_status
from escale.clock import SystemClock
from escale.errors import ConfigError

from .scripted import Stage, ends


class House:
    """A service in its own thread, with what it said and what the service manager heard."""

    def __init__(self, tmp_path, stage, parts):
        self.stage = stage
        self.lines = []
        self.told = []
        self.parts = parts
        self.instance = Instance(tmp_path / "x.conf", tmp_path)
        clock = SystemClock()
        environ = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "60000"}
        notifier = Notifier(environ, clock, 1, send=lambda address, data: self.told.append(data.decode()))
        self.service = Service(
            self.instance, parts, lambda: self.reread(), stage.report, self.lines.append, clock, notifier
        )
        self.codes = []
        self.thread = threading.Thread(target=lambda: self.codes.append(self.service.run()), daemon=True)
        self.thread.start()

    def reread(self):
        return self.parts

    def stop(self):
        self.service.tell(Order.STOP)
        self.thread.join(20)
        return self.codes


@pytest.fixture
def stage():
    return Stage()


def test_it_ends_with_0_and_leaves_a_status_file(tmp_path, stage):
    house = House(tmp_path, stage, [stage.part("work"), stage.part("photos")])
    stage.wait_for(lambda events: ends(events) == 2)
    assert house.stop() == [0]
    status = read_status(house.instance.status_path)
    assert [(section.section, section.state) for section in status.sections] == [
        ("work", SectionState.IN_STEP),
        ("photos", SectionState.IN_STEP),
    ]
    assert "READY=1" in house.told
    assert "WATCHDOG=1" in house.told
    assert house.told[-1].startswith("STOPPING=1")


def test_a_pass_can_be_asked_for_by_section(tmp_path, stage):
    house = House(tmp_path, stage, [stage.part("work"), stage.part("photos")])
    stage.wait_for(lambda events: ends(events) == 2)
    assert house.service.tell(Order.PASS, ["photos"]).result(10) == []
    stage.wait_for(lambda events: ends(events) == 3)
    house.stop()
    assert (stage.loops["work"].passes, stage.loops["photos"].passes) == (1, 2)


def test_reading_again_restarts_only_what_has_changed(tmp_path, stage):
    house = House(tmp_path, stage, [stage.part(name, settings=1) for name in ("same", "changed", "removed")])
    stage.wait_for(lambda events: ends(events) == 3)
    first = dict(stage.loops)
    house.parts = [stage.part("same", settings=1), stage.part("changed", settings=2), stage.part("new", settings=1)]
    assert house.service.tell(Order.RELOAD).result(20) == []
    stage.wait_for(lambda events: ends(events) == 5)
    assert house.service.names() == ("same", "changed", "new")
    assert sorted(stage.opened[3:]) == ["changed", "new"]
    assert stage.loops["same"] is first["same"]
    assert not first["same"].is_closed.is_set()
    assert first["changed"].is_closed.is_set() and first["removed"].is_closed.is_set()
    house.stop()


def test_a_broken_configuration_keeps_the_old_one_and_says_so(tmp_path, stage):
    house = House(tmp_path, stage, [stage.part("work")])
    stage.wait_for(lambda events: ends(events) == 1)

    def broken():
        raise ConfigError(what="x.conf:9:1: error C101: unknown setting 'refesh'")

    house.reread = broken
    complaints = house.service.tell(Order.RELOAD).result(20)
    assert complaints[1] == "x.conf:9:1: error C101: unknown setting 'refesh'"
    assert house.service.status().problems == tuple(complaints)
    assert complaints[0] in [line.text for line in house.lines]
    reloading = next(i for i, message in enumerate(house.told) if message.startswith("RELOADING=1"))
    assert "READY=1" in house.told[reloading:]
    assert house.stop() == [0]
    assert stage.opened == ["work"]


def test_the_state_can_be_said_aloud(tmp_path, stage):
    house = House(tmp_path, stage, [stage.part("work")])
    stage.wait_for(lambda events: ends(events) == 1)
    house.service.tell(Order.TELL).result(10)
    house.stop()
    assert [line.text for line in house.lines] == ["work in step"]


def test_the_second_interrupt_leaves_the_step_in_hand(tmp_path, stage):
    begun, gate = threading.Event(), threading.Event()

    def stubborn(loop):
        begun.set()
        gate.wait(30)
        return PassResult()

    house = House(tmp_path, stage, [stage.part("work", stubborn)])
    assert begun.wait(10)
    house.service.tell(Order.INTERRUPT)
    house.service.tell(Order.INTERRUPT)
    house.thread.join(20)
    assert house.codes == [130]
    gate.set()
