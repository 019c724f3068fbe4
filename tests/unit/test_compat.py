"""What is offered to files of the other gateway, piece by piece."""

from __future__ import annotations

import importlib
import logging
from threading import Thread
from typing import Any

import pytest

from common.compat import connector as connectors
from common.compat.constant_enums import Status
from common.compat.loggers import TbLogger, init_logger
from common.compat.offered import OFFERED, names_of
from common.compat.statistics import CollectStorageEventsStatistics, CountMessage, StatisticsService
from common.compat.strategies import ReportStrategy, ReportStrategyConfig
from common.compat.utility import TBUtility
from common.conversion.results import readings_of
from common.converters import Attributes, ConvertedData, DatapointKey, TelemetryEntry
from common.core.errors import ConversionError
from common.wire.codec import pack_readings, unpack_readings
from common.wire.messages import ReadingBody, UserReading


@pytest.mark.parametrize("module", OFFERED)
def test_all_that_is_offered_is_there(module: str):
    """The table, and the names behind it."""
    ours = importlib.import_module(OFFERED[module])
    assert names_of(module)
    assert all(hasattr(ours, name) for name in names_of(module))


class OldConnector(Thread, connectors.Connector):
    """As classes of 2.0 are: what came later is missing."""

    def __init__(self, gateway: Any, config: Any, connector_type: str) -> None:
        super().__init__()
        self.asked = (self.get_id(), self.get_type(), self.get_config())

    def open(self) -> None: ...
    def close(self) -> None: ...
    def get_name(self) -> str:
        return self.name

    def is_connected(self) -> None: ...
    def on_attributes_update(self, content: Any) -> None: ...
    def server_side_rpc_handler(self, content: Any) -> None: ...


class NewOrder(connectors.Connector, Thread):
    """The other order of bases."""

    open = close = get_name = is_connected = on_attributes_update = server_side_rpc_handler = lambda self, *_: None


def test_a_connector_of_any_age_can_be_made(monkeypatch: pytest.MonkeyPatch):
    """In either order of bases; it is told who it is, before its constructor runs."""
    monkeypatch.setattr(connectors, "_identity", [])
    assert OldConnector(None, {}, "gpio").asked == (None, None, None)
    connectors.introduce(connectors.Identity("id1", "pins", "gpio", {"a": 1}, lambda: True))
    made = OldConnector(None, {}, "gpio")
    assert made.asked == ("id1", "gpio", {"a": 1})
    assert (made.is_stopped(), made.is_filtering_enable("d"), made.get_ttl_for_duplicates("d")) == (True, False, 0)
    assert NewOrder().is_alive() is False
    with pytest.raises(TypeError, match="abstract"):
        connectors.Connector()  # type: ignore[abstract]


def test_entries_keep_their_time_and_values():
    """`{"ts", "values"}` wins over the argument; 0 is a time; without one the object shows now, and the reading has
    none."""
    nested = TelemetryEntry({"ts": 5, "values": {"a": 1}}, 9)
    assert (nested.ts, nested["values"], nested.to_dict()) == (5, {"a": 1}, {"ts": 5, "values": {"a": 1}})
    assert TelemetryEntry({"a": 1}, 0).ts == 0
    silent = TelemetryEntry({DatapointKey("a"): b"x"})
    assert isinstance(silent.ts, int)
    assert silent.to_dict()["values"] == {"a": b"x"}
    assert silent.to_result()["ts"] is None
    values = {"a": 1}
    entry = TelemetryEntry(values)
    values["a"] = 2
    assert entry.values == {"a": 1}


def test_converted_data_has_what_files_read_of_it():
    """Counts, sizes, equality by content, no attribute that nobody knows, no hash."""
    data = ConvertedData("d")
    data.add_to_telemetry([{"ts": 5, "a": 1}, {"ts": 5, "b": 2}, {"ts": 5, "a": 3}])
    data.add_to_telemetry("c", 4)
    data.add_to_telemetry(("d", 5))
    data.add_to_attributes(DatapointKey("x"), 0)
    assert [entry.values for entry in data.telemetry] == [{"a": 1, "b": 2}, {"a": 3}, {"c": 4, "d": 5}]
    assert (data.telemetry_datapoints_count, data.attributes_datapoints_count) == (5, 1)
    assert data["attributes"].to_dict() == {"x": 0}
    assert data.get_size() == len(str(data.to_dict()).replace(" ", ""))
    other = ConvertedData("d")
    other.extend(data)
    assert other == data
    assert other != ConvertedData("d")
    with pytest.raises(AttributeError):
        data.unknown = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        hash(data)
    with pytest.raises(KeyError):
        data["nothing"]


def test_converted_data_in_parts_loses_nothing():
    """Each part within the size, all values in their order."""
    data = ConvertedData("d")
    data.add_to_attributes({f"x{number}": number for number in range(20)})
    data.add_to_telemetry([{"ts": ts, "values": {"a": ts, "b": "text"}} for ts in range(20)])
    parts = data.convert_to_objects_with_maximal_size(200)
    assert len(parts) > 2
    assert all(part.get_size() <= 200 for part in parts)
    whole = ConvertedData("d")
    for part in parts:
        whole.extend(part)
    assert whole == data
    with pytest.raises(ValueError, match="too small"):
        data.convert_to_objects_with_maximal_size(10)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("a",), ValueError), (("a", None), ValueError), (([5],), ValueError), ((5,), AttributeError)],
)
def test_attributes_without_a_value_are_refused(arguments: tuple[Any, ...], error: type[Exception]):
    """0, False and "" are values; None is none."""
    with pytest.raises(error):
        ConvertedData("d").add_to_attributes(*arguments)
    for value in (0, False, ""):
        data = ConvertedData("d")
        data.add_to_attributes("a", value)
        assert data.attributes == Attributes({"a": value})


def test_keys_with_strategies_are_equal_by_both():
    """And never to a text."""
    first, again = (ReportStrategyConfig({"type": "on_change"}) for _ in range(2))
    assert DatapointKey("a", first) == DatapointKey("a", again)
    assert len({DatapointKey("a", first), DatapointKey("a", again), DatapointKey("a")}) == 2
    assert DatapointKey("a") != "a"


@pytest.mark.parametrize("config", [None, {}, "ON_CHANGE", {"type": "SOMETIMES"}, {"reportPeriod": 5}])
def test_a_strategy_that_says_nothing_is_a_value_error(config: Any):
    """Files catch it, and go on without."""
    with pytest.raises(ValueError, match=r"eport strategy"):
        ReportStrategyConfig(config)


def test_a_strategy_is_read_in_both_forms():
    """By itself and inside a section; a period only where the strategy has one."""
    periodic = ReportStrategyConfig({"reportStrategy": {"type": "ON_REPORT_PERIOD", "reportPeriod": 500}})
    assert (periodic.report_strategy, periodic.report_period) == (ReportStrategy.ON_REPORT_PERIOD, 500)
    assert periodic == ReportStrategyConfig(periodic)
    assert periodic.to_config() == {"type": "ON_REPORT_PERIOD", "ttl": 86_400, "reportPeriod": 500}
    assert ReportStrategyConfig({"type": "ON_CHANGE", "reportPeriod": 500}).report_period is None
    assert ReportStrategyConfig({}, {"type": "ON_RECEIVED"}).report_strategy is ReportStrategy.ON_RECEIVED


def test_a_strategy_of_a_key_travels_with_the_reading():
    """To whoever applies it; a reading without one has the bytes that it had."""
    data = ConvertedData("d")
    key = TBUtility.convert_key_to_datapoint_key("a", None, {"reportStrategy": {"type": "ON_CHANGE"}})
    data.add_to_telemetry(TelemetryEntry({key: 1, "b": 2}))
    (reading,) = readings_of(data, "", "")
    assert reading.strategies == b'{"a":{"type":"ON_CHANGE","ttl":86400}}'
    body = ReadingBody([1], [b""], user={0: [reading]})
    assert unpack_readings(pack_readings(body), 1) == body
    plain = UserReading("d", "t", [], b"{}")
    assert b"\x94\xa1d\xa1t\x90\xc4\x02{}" in pack_readings(ReadingBody([1], [b""], user={0: [plain]}))
    assert readings_of({"telemetry": {DatapointKey("a", object()): 1}}, "d", "t")[0].strategies == b""


def test_a_result_without_a_device_is_refused_where_none_stands_in():
    """A hosted connector has to name its devices."""
    with pytest.raises(ConversionError, match="deviceName: found none"):
        readings_of({"telemetry": [{"a": 1}]}, "", "")


def test_bytes_and_numbers_of_numpy_are_sent_as_what_they_are():
    """However deep they stand; bytes that are no text are refused by key."""

    class Float32:
        dtype = "float32"

        def tolist(self) -> float:
            return 2.5

    (reading,) = readings_of({"telemetry": {"a": b"x", "b": [Float32(), {"c": b"y"}]}}, "d", "t")
    assert reading.telemetry == [(None, b'{"a":"x","b":[2.5,{"c":"y"}]}')]
    with pytest.raises(ConversionError, match=r"telemetry: a: found b'\\xff', expected bytes that are UTF-8 text"):
        readings_of({"telemetry": {"a": b"\xff"}}, "d", "t")


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("${a}", {"a": 5}), "5"),
        (("${a}", {"a": 5}, "int"), 5),
        (("x ${a} y", {"a": 5}), "x 5 y"),
        (("a", {"a": 5}, "int"), 5),
        (("${b.c[1].d}", {"b": {"c": [0, {"d": True}]}}, "bool"), True),
        (("${b['c d']}", {"b": {"c d": 1}}, "int"), 1),
        (("${b[*]}", {"b": [7, 8]}, "int"), 7),
        (("${z}", {"a": 5}), None),
        (("${z}", {"a": 5}, "string", False, True), "${z}"),
        (("${a}", '{"a": 5}'), "5"),
        (("${a}", {}, "string", True), "a"),
        (("", {"a": 5}), ""),
    ],
)
def test_values_that_expressions_stand_for(arguments: tuple[Any, ...], value: Any):
    """As the other gateway was seen to read them."""
    assert TBUtility.get_value(*arguments) == value


def test_the_other_utilities():
    """What copies of built-in connectors call."""
    assert TBUtility.get_values("${a}/${b}", {"a": 1, "b": 2}, "int") == [1, 2]
    assert TBUtility.replace_params_tags("/${x}/${y}", {"data": {"x": 1}}) == "/1/${y}"
    assert TBUtility.decode(b"[1]") == [1]
    assert TBUtility.decode(b"\xff\xfe") == b"\xff\xfe"
    assert TBUtility.get_dict_key_by_value({"a": 1}, 1) == "a"
    assert (TBUtility.str_to_bool("On"), TBUtility.str_to_bool(0)) == (True, False)
    assert TBUtility.convert_data_type("12.5", "int") == 12
    assert TBUtility.convert_data_type("x", "double") == "x"
    assert TBUtility.regex_to_topic(TBUtility.topic_to_regex("a/+/b")) == "a/+/b"
    assert (
        TBUtility.resolve_different_ts_formats({"t": {"at": "2024-06-26T11:06:40Z"}}, {"tsField": "at"})
        == 1719400000000
    )
    assert TBUtility.resolve_different_ts_formats({"ts": 5}, {}) == 5
    assert TBUtility.validate_converted_data({"deviceName": "d", "attributes": {"a": 1}})
    assert not TBUtility.validate_converted_data({"deviceName": "d", "telemetry": []})


def test_nothing_is_ever_installed():
    """True for what is there, else the command to type."""
    assert TBUtility.install_package("msgpack") is True
    assert TBUtility.install_package("msgpack", ">=0.1") is True
    assert TBUtility.check_and_import("msgpack", "msgpack", "999") is True
    with pytest.raises(ImportError, match="-m pip install nobodys-package"):
        TBUtility.check_and_import("nobodys_module", "nobodys-package")
    with pytest.raises(
        ImportError, match=r"msgpack is installed as .*, not >=999; .* -m pip install 'msgpack>=999'|serialgw"
    ):
        TBUtility.install_package("msgpack", ">=999")


@pytest.mark.parametrize(
    ("level", "number"),
    [("DEBUG", 10), ("trace", 5), (30, 30), ("NONSENSE", 0), (None, 0), (object(), 0), ("NONE", 51)],
)
def test_loggers_of_any_level(level: Any, number: int):
    """A word, a number, or the process's own; all keywords of all versions are taken."""
    logger = init_logger(None, f"tests.level.{number}", level, True, connector_name="x", attr_name="y", new_one=1)
    assert (type(logger), logger.level) == (TbLogger, number)


def test_loggers_take_what_is_said_of_errors(caplog: pytest.LogCaptureFixture):
    """`attr_name` is no matter of ours; stop and reset end nothing."""
    logger: Any = init_logger(None, "tests.words", "TRACE")
    logger.error("one", attr_name="d")
    try:
        raise KeyError("x")
    except KeyError:
        logger.exception("two", attr_name="d")
    logger.stop()
    logger.reset()
    logger.trace("%s", "three")
    assert [record.getMessage() for record in caplog.records] == ["one", "two", "three"]
    assert caplog.records[1].exc_info
    logging.getLogger("tests.words").setLevel(logging.NOTSET)


def test_statistics_pass_everything_on():
    """Arguments of any number, and the result; what was decorated is still to be found."""

    @StatisticsService.CollectStatistics("a", end_stat_type="b")
    @CollectStorageEventsStatistics("a")
    @CountMessage("a")
    def work(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert work(1, 2, x=3) == ((1, 2), {"x": 3})
    assert work.__wrapped__.__name__ == "work"
    assert StatisticsService.count_connector_message("c", "s", count=2) is None
    assert len(set(Status)) == 5
