"""What a user's connector gets as `gateway`: the members that the reference's has and connectors use, and no more.

Each may be called from any thread, and in the forms of all releases of the reference. What they do is decided by the
core; here arguments are looked at, and what comes back is what the reference gives.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from common.compat.constant_enums import Status
from common.conversion.values import encode_json, shorten
from common.core.errors import ConversionError, printable
from common.core.version import RELEASE
from services.connector_host.core.devices import MOST_DEVICES
from services.connector_host.core.events import AttributesAsked, Replied, Said
from services.connector_host.core.replies import reply_of
from services.connector_host.core.results import DEFAULT_TYPE, entries_of, name_of
from services.connector_host.shell.intake import Intake

NAME: Final = "serialgw"
"""What the gateway calls itself. Data under this name would be the gateway's own, which it sends itself."""
PAYLOAD_BYTES: Final = 8196
"""What connectors of the reference are told; here each message is cut to what the platform takes, whatever they do."""
OFFERED: Final = (
    "add_device",
    "add_device_async",
    "available_connectors_by_id",
    "available_connectors_by_name",
    "del_device",
    "del_device_async",
    "get_available_connectors",
    "get_config_path",
    "get_connector_config",
    "get_connector_devices",
    "get_connector_status",
    "get_devices",
    "get_max_payload_size_bytes",
    "get_report_strategy_service",
    "get_status",
    "is_latency_metrics_enabled",
    "name",
    "send_rpc_reply",
    "send_to_storage",
    "stop_event",
    "stopped",
    "tb_client",
    "update_device",
    "version",
)
"""The members that there are."""


ASKED: Final = ("gw_request_shared_attributes", "gw_request_client_attributes")
"""What of `gateway.tb_client.client` there is."""
MOST_ASKED: Final = 1_000
"""Questions of a connector to the platform that have no answer; the next one is refused."""
MOST_KEYS: Final = 1_000
"""Attributes in one question."""
Answered = Callable[..., Any] | tuple[Any, ...]
"""What a connector leaves for an answer: called with what the platform says and None, or with None and an error; of a
tuple the first is called, with the second behind these two."""


class Hosted:
    """What the facade has to know of its connector, and of what the core knows. Not for users."""

    def __init__(
        self,
        name: str,
        connector_id: str,
        *,
        config: object,
        config_dir: str,
        intake: Intake,
        logger: logging.Logger,
        devices: Mapping[str, str],
    ) -> None:
        """`devices`: those that are there already, with their types."""
        self.name = name
        self.id = connector_id
        self.config = config
        self.config_dir = config_dir
        self.intake = intake
        self.logger = logger
        self.connector: Any = None
        self.is_link_up = False
        self.results_refused = 0
        self.stop_event = threading.Event()
        self.lock = threading.Lock()
        self.devices = dict(devices)
        """The connector's devices as its own calls have left them; the core's table follows."""
        self._asked = 0
        self._waiting: dict[int, Answered] = {}
        """Questions to the platform without an answer."""

    def ask(self, device: str, keys: list[str], answered: Answered, *, is_client: bool) -> int:
        """Asks the platform; the question's number, or 0 where too many have no answer."""
        with self.lock:
            if len(self._waiting) >= MOST_ASKED:
                return 0
            self._asked += 1
            number = self._asked
            self._waiting[number] = answered
        self.intake.post(AttributesAsked(number, device, keys, is_client))
        return number

    def take_asked(self, number: int) -> Answered | None:
        """What was left for the answer to this question, which has come."""
        with self.lock:
            return self._waiting.pop(number, None)

    def type_of(self, device: str, said: str) -> str:
        """The type of a device of which this one is said: "default", which stands for none, leaves it what it has."""
        return said if said != DEFAULT_TYPE else self.devices.get(device, DEFAULT_TYPE)

    def add(self, devices: Mapping[str, str]) -> None:
        """These are there, with these types. Raises ConversionError where they would be too many."""
        with self.lock:
            if len(self.devices) + len(devices) > MOST_DEVICES and len({**self.devices, **devices}) > MOST_DEVICES:
                raise ConversionError(f"the connector has {MOST_DEVICES} devices already, and may not have more")
            self.devices |= devices

    def refuse(self, what: str, reason: str) -> None:
        """Something that the connector has handed over is of no use: counted, and said."""
        self.results_refused += 1
        owner = type(self.connector).__name__ if self.connector is not None else self.name
        self.logger.error("%s of %s: %s", what, owner, printable(reason))


class GatewayFacade:
    """The gateway, as connectors see it."""

    __slots__ = ("__hosted", "tb_client")

    def __init__(self, hosted: Hosted) -> None:
        self.__hosted = hosted
        self.tb_client = PlatformFacade(hosted)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"serialgw's gateway has no {name}; it offers {', '.join(OFFERED)}")

    # Data

    def send_to_storage(
        self, connector_name: object = None, connector_id: object = None, data: object = None
    ) -> Status:
        """Takes a result, or a list of them: SUCCESS when it is on the disk, FAILURE when it can't be sent or kept.

        A single value that JSON can't carry takes no other along: it is left out, with a line in the log.
        The data is the last argument: the second of two, the third of three. Who the connector is, it need not say.
        """
        hosted = self.__hosted
        result = connector_id if data is None else data
        left_out: list[str] = []
        try:
            said = tuple(entries_of(result, hosted.type_of, left_out))
            if left_out:
                more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
                hosted.refuse("send_to_storage", f"{left_out[0]}: this value is left out{more}")
            if not said:
                raise ConversionError("found no values, expected telemetry or attributes of a device")
            if any(one.device == NAME for one in said):
                raise ConversionError(f'found the device "{NAME}", which is the gateway: it sends its own data itself')
            hosted.add({one.device: one.device_type for one in said})
        except ConversionError as error:
            hosted.refuse("send_to_storage", str(error))
            return Status.FAILURE
        if why := hosted.intake.submit(said):
            hosted.refuse("send_to_storage", why)
            return Status.FAILURE
        return Status.SUCCESS

    # Devices

    def add_device(
        self,
        device_name: object,
        content: object = None,
        device_type: object = None,
        *more: object,
        wait_for_publish: object = None,
    ) -> bool:
        """A device is there. True, but for what is no name, or one too many.

        The third argument was `wait_for_publish` in old releases, with the type behind it; a type is a text.
        """
        if more and not isinstance(device_type, str):
            device_type = more[0]
        if not isinstance(device_type, str) and isinstance(content, Mapping):
            device_type = content.get("deviceType")
        kind = device_type if isinstance(device_type, str) and device_type else DEFAULT_TYPE
        hosted = self.__hosted
        try:
            name, kind = name_of(device_name), name_of(kind)
            kind = hosted.type_of(name, kind)
            hosted.add({name: kind})
        except ConversionError as error:
            hosted.refuse("add_device", str(error))
            return False
        return not hosted.intake.submit((Said(name, kind, b"", "connect"),), waits=False)

    def del_device(self, device_name: object, remove_device: object = True) -> None:
        """A device is gone. Some connectors hand over the whole device, an object with "deviceName"."""
        if isinstance(device_name, Mapping):
            device_name = device_name.get("deviceName")
        hosted = self.__hosted
        try:
            name = name_of(device_name)
        except ConversionError as error:
            hosted.refuse("del_device", str(error))
            return
        with hosted.lock:
            kind = hosted.devices.pop(name, DEFAULT_TYPE)
        hosted.intake.submit((Said(name, kind, b"", "disconnect"),), waits=False)

    def add_device_async(self, data: object) -> Status:
        """As `add_device`, of an object with "deviceName" and "deviceType"."""
        if not isinstance(data, Mapping):
            return Status.FAILURE
        added = self.add_device(data.get("deviceName"), data, data.get("deviceType"))
        return Status.SUCCESS if added else Status.FAILURE

    def del_device_async(self, data: object) -> Status:
        """As `del_device`, of an object with "deviceName"."""
        if not isinstance(data, Mapping) or data.get("deviceName") not in self.get_devices():
            return Status.FAILURE
        self.del_device(data)
        return Status.SUCCESS

    def update_device(self, device_name: object, event: object, content: object) -> None:
        """What connectors say here of their devices, the gateway knows already."""

    def get_devices(self, connector_id: object = None) -> dict[str, dict[str, Any]]:
        """The connector's devices, each with "connector" and "deviceType"."""
        hosted = self.__hosted
        with hosted.lock:
            return {
                name: {"connector": hosted.connector, "deviceType": kind, "connectorName": hosted.name}
                for name, kind in hosted.devices.items()
            }

    # Calls

    def send_rpc_reply(  # noqa: PLR0917 (the reference's arguments, which are given in their order)
        self,
        device: object = None,
        req_id: object = None,
        content: object = None,
        success_sent: object = None,
        wait_for_publish: object = None,
        quality_of_service: object = 0,
        to_connector_rpc: object = False,
    ) -> None:
        """Answers a call, at any time after it has come. The first answer counts."""
        hosted = self.__hosted
        is_to_connector = device is None or bool(to_connector_rpc)
        if isinstance(device, Mapping):
            device = device.get("deviceName", device.get("device"))
        if isinstance(req_id, float) and req_id.is_integer():
            req_id = int(req_id)
        data: bytes | None
        try:
            data = reply_of(content, success_sent, is_to_connector=is_to_connector)
        except ValueError as error:
            hosted.refuse("send_rpc_reply", f"content: found {error}")
            # Whoever calls hears of it now, and not after ten seconds.
            data = encode_json({"error": printable(f"the connector's answer can't be sent: found {error}")})
        if data is not None and req_id is not None:
            name = "" if is_to_connector else str(device)
            hosted.intake.post(Replied(name, str(req_id).strip(), data))

    # What it says of itself

    @property
    def name(self) -> str:
        """What the gateway calls itself."""
        return NAME

    @property
    def version(self) -> dict[str, str]:
        """The release that runs."""
        return {"current_version": RELEASE, "latest_version": RELEASE}

    @property
    def stopped(self) -> bool:
        """True once the gateway was told to end."""
        return self.__hosted.stop_event.is_set()

    @property
    def stop_event(self) -> threading.Event:
        """Set once the gateway was told to end."""
        return self.__hosted.stop_event

    @property
    def available_connectors_by_name(self) -> dict[str, Any]:
        """This connector: others are in processes of their own."""
        return {self.__hosted.name: self.__hosted.connector}

    @property
    def available_connectors_by_id(self) -> dict[str, Any]:
        """This connector, by its id."""
        return {self.__hosted.id: self.__hosted.connector}

    def get_available_connectors(self) -> dict[str, Any]:
        """This connector, by its name."""
        return self.available_connectors_by_name

    def get_connector_devices(self, connector: object = None) -> dict[str, dict[str, Any]]:
        """This connector's devices."""
        return self.get_devices()

    def get_connector_status(self, name: object = None) -> dict[str, Any]:
        """Whether this connector says that it is connected."""
        connector = self.__hosted.connector
        is_connected: Callable[[], Any] | None = getattr(connector, "is_connected", None)
        return {"connected": bool(is_connected and is_connected())}

    def get_connector_config(self, name: object = None) -> Any:
        """What this connector was made with."""
        return self.__hosted.config

    def get_status(self) -> dict[str, Any]:
        """Whether the platform is reached."""
        return {"connected": self.__hosted.is_link_up, "connector": self.__hosted.name}

    def get_config_path(self) -> str:
        """The folder of the main configuration file, with a slash at its end."""
        return self.__hosted.config_dir.rstrip("/") + "/"

    def get_report_strategy_service(self) -> None:
        """There is none: connectors test for it."""

    def is_latency_metrics_enabled(self) -> bool:
        """Never."""
        return False

    def get_max_payload_size_bytes(self) -> int:
        """What a message may have; what is larger is cut here."""
        return PAYLOAD_BYTES


class PlatformFacade:
    """`gateway.tb_client`."""

    __slots__ = ("__hosted", "client")

    def __init__(self, hosted: Hosted) -> None:
        self.__hosted = hosted
        self.client = ClientFacade(hosted)

    def is_connected(self) -> bool:
        """Whether the platform was reached when it was heard of last."""
        return self.__hosted.is_link_up


class ClientFacade:
    """`gateway.tb_client.client`: the platform's connection is the publisher's, and what is asked goes by that."""

    __slots__ = ("__hosted",)

    def __init__(self, hosted: Hosted) -> None:
        self.__hosted = hosted

    def gw_request_shared_attributes(self, device_name: object, keys: object, callback: Any) -> AskedFacade | bool:
        """Asks for attributes that the platform has set for one of the connector's devices; False where that can't be
        asked, which is logged. The callback is called later, in the thread of attribute updates."""
        return self.__ask("gw_request_shared_attributes", device_name, keys, callback, is_client=False)

    def gw_request_client_attributes(self, device_name: object, keys: object, callback: Any) -> AskedFacade | bool:
        """The same of attributes that the device has said of itself."""
        return self.__ask("gw_request_client_attributes", device_name, keys, callback, is_client=True)

    def __ask(self, what: str, device: object, keys: object, callback: Any, *, is_client: bool) -> AskedFacade | bool:
        hosted = self.__hosted
        wanted = [keys] if isinstance(keys, str) else list(keys) if isinstance(keys, list | tuple | set) else []
        try:
            name = name_of(device)
            if not 0 < len(wanted) <= MOST_KEYS or not all(isinstance(key, str) and key for key in wanted):
                raise ConversionError(
                    f"keys: found {shorten(repr(keys))}, expected 1 to {MOST_KEYS} names of attributes"
                )
            if not callable(callback[0] if isinstance(callback, tuple) and callback else callback):
                raise ConversionError(f"callback: found {shorten(repr(callback))}, expected a function")
        except ConversionError as error:
            hosted.refuse(what, str(error))
            return False
        number = hosted.ask(name, wanted, callback, is_client=is_client)
        if not number:
            hosted.refuse(what, f"{MOST_ASKED} questions wait for their answers already")
            return False
        return AskedFacade(number)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"serialgw's gateway has no tb_client.client.{name}; it offers {', '.join(ASKED)}: all else that the "
            "platform is told goes by the gateway's own members"
        )


class AskedFacade:
    """What asking returns, as the reference's client has it: that it was asked."""

    __slots__ = ("__number",)

    TB_ERR_SUCCESS = 0

    def __init__(self, number: int) -> None:
        self.__number = number

    def rc(self) -> int:
        """0: it was asked."""
        return self.TB_ERR_SUCCESS

    def mid(self) -> int:
        """A number that no other question has."""
        return self.__number

    def get(self) -> int:
        """0, without waiting: the answer comes to the callback."""
        return self.TB_ERR_SUCCESS
