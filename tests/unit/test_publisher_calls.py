"""Calls from the platform and from clients: one reply each, the right one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from common.config.models import device_of
from common.core.events import Blocked, Drain, Exit, Writable
from common.wire import codec
from common.wire.calls import CALLER_TIME, PLATFORM_TIME
from common.wire.messages import Entry, Plane, Reply, Request, UserReading
from services.publisher.core.calls import _json_of
from tests.support.publisher_driving import Driver, batch, calls_sent, points, said


def ready() -> Driver:
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    driver.published.clear()
    return driver


def call(driver: Driver, number: int = 7, device: str = "press1", params: Any = None) -> Request:
    """An RPC from the platform; its first step."""
    message = {"device": device, "data": {"id": number, "method": "get", "params": params}}
    (request,) = calls_sent(driver.say("v1/gateway/rpc", message))
    return request


def replies(driver: Driver) -> list[Any]:
    """What the platform was told."""
    return [said(order) for order in driver.published if order.topic == "v1/gateway/rpc"]


def test_rpc_goes_to_the_devices_converter_and_its_reply_to_the_platform():
    """`encode` goes to `converter@DEVICE` with ten seconds left; the JSON of the reply goes up as it is."""
    driver = ready()
    request = call(driver, params={"a": 1})
    assert (request.target, request.verb, request.reply_to) == ("converter@press1", "encode", "publisher:0")
    assert request.time_left_s == 10
    assert codec.unpack_map(request.body) == {
        "method": "get",
        "params": b'{"a":1}',
        "called": "",
        "called_type": "",
    }
    driver.reply(request.id, data=b'{"result":48.0}')
    assert replies(driver) == [{"device": "press1", "id": 7, "data": {"result": 48.0}}]


def test_error_goes_up_as_the_connector_page_says():
    """A failed call is `{"error": text, "success": false}`."""
    driver = ready()
    driver.reply(call(driver).id, error="device press1 is not connected")
    assert replies(driver)[0]["data"] == {"error": "device press1 is not connected", "success": False}


def test_first_reply_wins():
    """A second reply, and a deadline after the first, say nothing more."""
    driver = ready()
    request = call(driver)
    driver.reply(request.id, data=b'{"success":true}')
    driver.reply(request.id, error="late")
    driver.wait(11.0)
    assert len(replies(driver)) == 1


def test_deadline_answers():
    """No reply within 10 s: the publisher answers itself, once, and later replies are dropped."""
    driver = ready()
    request = call(driver)
    driver.wait(9.9)
    assert replies(driver) == []
    driver.wait(0.2)
    assert replies(driver)[0]["data"] == {"error": f"no answer in 10 s ({PLATFORM_TIME})", "success": False}
    driver.reply(request.id, data=b"1")
    assert len(replies(driver)) == 1


def test_repeated_request_is_one_call():
    """The platform's message delivered twice begins one call."""
    driver = ready()
    request = call(driver)
    message = {"device": "press1", "data": {"id": 7, "method": "get", "params": None}}
    assert calls_sent(driver.say("v1/gateway/rpc", message)) == []
    driver.reply(request.id, data=b"1")
    assert len(replies(driver)) == 1


def test_reply_is_not_held_up_by_data_in_flight():
    """A reply does not wait for the device's publish to be accepted."""
    driver = ready()
    driver.take(batch(2, points(2, 1)))
    driver.reply(call(driver).id, data=b'{"result":1}')
    assert driver.topics() == ["telemetry", "rpc"]


def test_reply_that_is_no_json_is_an_error():
    """A converter can't make the publisher send a broken payload."""
    driver = ready()
    driver.reply(call(driver).id, data=b'{"result":')
    assert replies(driver)[0]["data"]["success"] is False


def test_call_for_a_device_that_a_converter_named_goes_to_its_source():
    """A device that only a user's converter knows is served by the port that said it; the reply names the device."""
    driver = ready()
    driver.take(batch(2, [None], user={0: [UserReading("probe", "p", [(None, b'{"x":1}')], b"")]}))
    request = call(driver, device="probe")
    assert (request.target, request.device) == ("converter@press1", "press1")
    driver.reply(request.id, data=b"1")
    assert replies(driver)[0]["device"] == "probe"


def answer(number: int, call_id: str, value: Any = 1) -> Any:
    return batch(number, [{"n": value}], kind=Entry.ANSWER, answer=(call_id, b'{"result":%d}' % value))


def test_journaled_answer_ends_an_open_call():
    """The reading is taken for the answer, and is no telemetry."""
    driver = ready()
    request = call(driver)
    driver.take(answer(2, request.id))
    driver.ack_all()
    assert replies(driver)[0]["data"] == {"result": 1}
    assert driver.items() == []
    assert driver.report().settled == 3


def test_journaled_answer_of_an_answered_call_is_dropped():
    """The call was answered over the calls plane: the frame is not told twice."""
    driver = ready()
    request = call(driver)
    driver.reply(request.id, data=b'{"result":1}')
    driver.take(answer(2, request.id))
    driver.ack_all()
    assert (len(replies(driver)), driver.items()) == (1, [])
    assert driver.report().settled == 3


def test_answer_whose_reply_can_not_go_out_is_telemetry_too():
    """While the platform is away the reply waits, and is dropped when it is too old: the frame is not lost with it."""
    driver = ready()
    request = call(driver)
    driver.down()
    driver.reply(request.id, data=b'{"result":1}')
    driver.take(answer(2, request.id, 5))
    driver.again()
    driver.ack_all()
    assert driver.items() == [{"n": 5}]
    assert replies(driver)[0]["data"] == {"result": 1}


def test_answer_whose_reply_was_dropped_is_telemetry():
    """The reply was too old when the platform was back: the frame comes later, and is published."""
    driver = ready()
    request = call(driver)
    driver.down()
    driver.reply(request.id, data=b'{"result":1}')
    driver.wait(0.5)
    driver.now_s += 20
    driver.again()
    driver.take(answer(2, request.id, 5))
    driver.ack_all()
    assert replies(driver) == []
    assert driver.items() == [{"n": 5}]


def test_journaled_answer_of_a_failed_or_unknown_call_is_telemetry():
    """Its call ended without it, or another publisher had it: the frame is published as any other."""
    driver = ready()
    request = call(driver)
    driver.wait(10.1)
    driver.take(answer(2, request.id, 5), answer(3, "rpc-of-another-1", 6))
    driver.ack_all()
    assert driver.items() == [{"n": 5}, {"n": 6}]


def client(verb: str, arguments: dict[str, Any], time_left_s: float = 5.0) -> Request:
    return Request("call-1", "client:x", "publisher:0", verb, "", "", time_left_s, codec.pack(arguments))


def test_client_gets_what_the_platform_would_get():
    """`rpc` from the command line keeps its id and its time; the reply body is JSON bytes."""
    driver = ready()
    (step,) = calls_sent(driver.request(client("rpc", {"device": "press1", "method": "get", "params": b"5"})))
    assert (step.id, step.time_left_s, step.reply_to) == ("call-1", 5.0, "publisher:0")
    (reply,) = calls_sent(driver.reply("call-1", data=b'{"result":48}'))
    assert reply == Reply("call-1", "client:x", "", codec.pack(b'{"result":48}'))
    assert replies(driver) == []


def test_client_always_gets_one_reply():
    """Deadline, unknown verb, missing argument, unreadable body, no time left: one error reply each."""
    driver = ready()
    driver.request(client("rpc", {"device": "press1", "method": "get", "params": b"5"}))
    (reply,) = calls_sent(driver.wait(5.1))
    assert reply.error == f"no answer in 5 s ({CALLER_TIME})"
    for request, error in [
        (client("dance", {}), "unknown verb dance"),
        (client("rpc", {"device": "press1"}), "malformed request: Object missing required field `method`"),
        (client("rpc", {}).replace(body=b"\xc1"), "malformed request: not msgpack"),
        (client("rpc", {"device": "press1", "method": "get", "params": b"5"}, 0.0), "expired while waiting"),
    ]:
        (reply,) = calls_sent(driver.request(request))
        assert reply.error.startswith(error)
        assert reply.target == "client:x"


def test_attribute_update_reaches_the_converter_and_is_not_answered():
    """From the platform: `encode_update`, its end is a log line only."""
    driver = ready()
    (step,) = calls_sent(driver.say("v1/gateway/attributes", {"device": "press1", "data": {"attr1": 25}}))
    assert (step.verb, step.target) == ("encode_update", "converter@press1")
    assert codec.unpack_map(step.body)["data"] == b'{"attr1":25}'
    driver.reply(step.id, data=b'{"success":true}')
    assert driver.published == []
    assert driver.notes[-1].event == "call.ended"


def test_attribute_update_from_a_client_is_answered():
    """`attributes` from the command line gets the outcome."""
    driver = ready()
    (step,) = calls_sent(driver.request(client("attributes", {"device": "press1", "data": b'{"a":1}'})))
    assert step.verb == "encode_update"
    (reply,) = calls_sent(driver.reply("call-1", error="write failed: EIO"))
    assert reply.error == "write failed: EIO"


def test_gateway_rpcs_are_answered_here():
    """The gateway's own RPCs: ping, version, devices, stats; anything else is 404."""
    driver = ready()
    answers = {}
    for number, method in enumerate(["ping", "version", "devices", "stats", "nothing"], start=2):
        driver.say(f"v1/devices/me/rpc/request/{number}", {"method": f"gateway_{method}", "params": {}})
        order = driver.published[-1]
        assert order.topic == f"v1/devices/me/rpc/response/{number}"
        answers[method] = said(order)
    assert answers["ping"] == {"code": 200, "resp": "pong"}
    assert answers["version"] == {"code": 200, "resp": "9.9"}
    assert answers["devices"] == {"code": 200, "resp": {"press1": "serial"}}
    assert answers["stats"]["eventsProduced"] == 1
    assert answers["nothing"] == {"error": "Method not found", "code": 404}


def test_junk_from_the_platform_is_noted_and_counted():
    """Nothing that the platform says can hurt."""
    driver = ready()
    for payload in (b"", b"\xff", b"[]", b'{"device":1}'):
        driver.say("v1/gateway/rpc", payload)
    assert len([note for note in driver.notes if note.event == "downlink.junk"]) == 4
    assert driver.published == []


def test_blocked_step_is_sent_when_the_broker_is_back():
    """A step that could not be sent goes out with the time that is left; one whose call has ended does not."""
    driver = ready()
    kept, ended = call(driver, 1), call(driver, 2)
    driver.hear(Blocked(Plane.CALLS, kept), Blocked(Plane.CALLS, ended))
    driver.reply(ended.id, error="gone")
    driver.wait(4.0)
    (again,) = calls_sent(driver.hear(Writable(Plane.CALLS)))
    assert again.id == kept.id
    assert again.time_left_s == 6.0


def test_reply_in_flight_at_a_close_is_said_again_while_it_is_wanted():
    """A reply whose PUBACK did not come goes out on the next connection within 10 s, and not after."""
    driver = ready()
    driver.reply(call(driver).id, data=b"1")
    driver.down()
    driver.published.clear()
    driver.again()
    assert len(replies(driver)) == 1
    driver.reply(call(driver, 8).id, data=b"1")
    driver.down()
    driver.wait(0.5)
    driver.now_s += 20
    driver.published.clear()
    driver.again()
    assert replies(driver) == []


def test_drain_answers_open_calls():
    """On SIGTERM every open call is answered "shutting down" and the answer is waited for; new ones are refused."""
    driver = ready()
    call(driver)
    driver.request(client("rpc", {"device": "press1", "method": "get", "params": b"5"}))
    (reply,) = calls_sent(driver.hear(Drain()))
    assert reply.error == "shutting down"
    assert replies(driver)[0]["data"]["error"] == "shutting down"
    (refused,) = calls_sent(driver.request(client("rpc", {"device": "press1", "method": "get", "params": b"5"})))
    assert json.loads(codec.unpack(refused.body))["error"] == "shutting down"
    assert driver.ack(driver.unacked[0])[-1] == Exit(0)


def test_what_a_stopped_publisher_finds_in_its_socket_has_less_time_or_none():
    """A call may have waited as long as the process stood still: its time counts from then, and an old one is refused
    rather than written when nobody waits any more. Once the socket is empty a call has all its time again."""
    driver = ready()
    driver.now_s += 7
    assert call(driver).time_left_s == 3
    assert call(driver, number=8).time_left_s == 3
    driver.wait(1)
    assert call(driver, number=10).time_left_s == 10
    driver.now_s += 11
    message = {"device": "press1", "data": {"id": 9, "method": "get", "params": None}}
    assert calls_sent(driver.say("v1/gateway/rpc", message)) == []
    (reply,) = [reply for reply in replies(driver) if reply["id"] == 9]
    assert reply["data"] == {"error": "expired while waiting", "success": False}


@pytest.mark.parametrize("body", [b"", b"{", b'"\xce"', b"re\xceult", b"[" * 100_000])
def test_a_reply_that_is_no_json_is_an_error_to_who_asked(body: bytes) -> None:
    """Half a character is no text: it must not end the publisher."""
    assert _json_of(codec.pack(body)) is None
    with pytest.raises(msgspec.DecodeError):
        device_of(b'{"name":"\xce"}')
