"""Every key that a configuration may have, in words: what docs/configuration.md is made of.

A key is one `Key` in the section that it stands in. `tests/field/test_configuration_page.py` says which keys a reader
knows and no section has; it reads a configuration that is put together of the examples here, so a key with objects of
its own is found through its example.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

NOTHING: Final = object()
"""Stands for a default that there is none of, as null is a value of its own."""
STRATEGY: Final = {"type": "ON_CHANGE"}


class Key(NamedTuple):
    """One key of an object."""

    name: str
    kind: str
    """What its value is, in words."""
    meaning: str
    example: Any
    """A value that can be used, and is used by a test."""
    default: Any = NOTHING
    """What counts without it: a test gives it and expects the same configuration as without it."""
    instead: str = ""
    """The default in words, where no value says it."""
    also: str = ""
    """An older spelling."""
    unapplied: str = ""
    """Why it has no effect, for a key that is read and not applied."""
    beside: dict[str, Any] = {}
    """What has to stand beside it in an example, in place of what is required."""


class Section(NamedTuple):
    """One kind of object."""

    path: str
    """Where it stands, as messages of `serialgw check` name it, without numbers."""
    title: str
    text: str
    keys: tuple[Key, ...]


NO_PART: Final = "has no counterpart here"
_REPORT: Final = Key(
    "reportStrategy",
    "object",
    "When values are sent on; see *Report strategy*.",
    STRATEGY,
    instead="that of the level above, in the end ON_RECEIVED",
)


def _rate(name: str, of: str) -> Key:
    """A rate limit."""
    return Key(
        name,
        "text",
        f"Most {of}. Pairs of a number and seconds, which all hold; `0` is no limit. What the platform itself says holds as well.",
        "10:1,100:60",
        instead="by the host: none, or what ThingsBoard's cloud is known to allow until it says so",
    )


def _unserved(name: str, kind: str, meaning: str, example: Any, unapplied: str) -> Key:
    """A key of ThingsBoard's gateway that is known, and has no effect."""
    return Key(name, kind, meaning, example, instead="none", unapplied=unapplied)


MAIN: Final = Section(
    "",
    "The main file, `tb_gateway.json`",
    "Where readings go, what is kept on disk, and which connector files there are. A file with none of the first three "
    "keys is taken for a connector file; then the platform comes from the environment.",
    (
        Key(
            "thingsboard", "object", "The platform; see *Platform*.", {}, instead="localhost:1883, without credentials"
        ),
        Key("storage", "object", "The journals' place and limits; see *Storage*.", {}, instead="see there"),
        Key("connectors", "list of objects", "The connectors; see *Connectors*. Required.", [], instead="required"),
        Key(
            "web",
            "object",
            "The gateway's page, its metrics and its health; see *Web*.",
            {},
            instead="on, for this machine alone",
        ),
        _unserved("grpc", "object", "Connectors that attach over gRPC.", {"enabled": False}, NO_PART),
        _unserved("logs", "object", "`serialgw run --log-level` says how much is logged.", {}, NO_PART),
    ),
)

WEB: Final = Section(
    "web",
    "Web, `web`",
    "Where the monitor listens for HTTP. ThingsBoard's gateway has no such section. On a loopback address, as the default "
    "is, whoever uses this machine may look; over any other address a token is needed, and `serialgw web` prints a link "
    "that logs a person in.",
    (
        Key("enable", "true or false", "Whether it listens at all.", False, True),
        Key(
            "address", "text", "The address to listen at; `0.0.0.0` is all of this machine's.", "192.0.2.7", "127.0.0.1"
        ),
        Key("port", "whole number, 1 to 65535", "The port.", 9090, 8484),
        Key(
            "hosts",
            "list of texts",
            "Names by which browsers reach it, beside its address and `localhost`; requests for other names are refused.",
            ["gateway.example.org"],
            [],
        ),
        Key(
            "edit",
            "true or false",
            "Whether anything may be changed there: calls, attributes, retries, new devices.",
            True,
            False,
        ),
        Key("frames", "true or false", "Whether what devices say is shown there, not only how much.", False, True),
    ),
)

PLATFORM: Final = Section(
    "thingsboard",
    "Platform, `thingsboard`",
    "",
    (
        Key("host", "text", "Name or address of the platform.", "thingsboard.example.org", "localhost"),
        Key("port", "whole number, 1 to 65535", "Its MQTT port; 8883 is usual with TLS.", 8883, 1883),
        Key("security", "object", "How the gateway proves who it is; see *Security*.", {}, instead="no credentials"),
        Key("qos", "0, 1 or 2", "Quality of service. 1 is used whatever is written.", 1, 1),
        Key(
            "minPackSendDelayMS",
            "whole number of ms",
            "How long readings wait for others, in all processes together, to be passed on in one go; what comes alone after a "
            "silence waits for nobody. 0: nothing waits on purpose, in no process.",
            100,
            50,
        ),
        Key("minPackSizeToSend", "whole number", "How many readings are sent without waiting for more.", 100, 500),
        Key(
            "maxPayloadSizeBytes",
            "whole number of bytes",
            "The largest message. The platform's own limit replaces 8196, and its absence; any other value stays an upper "
            "bound.",
            65_536,
            8196,
        ),
        _REPORT,
        Key(
            "remoteShell",
            "true or false",
            "Never done: the gateway runs no commands of the platform.",
            False,
            False,
            unapplied="refused on purpose",
        ),
        Key(
            "provisioning",
            "object",
            "How a gateway without credentials gets some; see *Provisioning*.",
            {},
            instead="none",
        ),
        Key(
            "deviceFiltering",
            "object",
            "Devices whose readings are not sent; see *Device filtering*.",
            {},
            instead="none",
        ),
        Key(
            "checkingDeviceActivity",
            "object",
            "When a silent device is disconnected on the platform; see *Device activity*.",
            {},
            instead="never",
        ),
        Key(
            "handleDeviceRenaming",
            "true or false",
            "A device that is renamed on the platform has its data under the new name.",
            False,
            True,
        ),
        Key("statistics", "object", "What the gateway tells of itself; see *Statistics*.", {}, instead="every 60 s"),
        _unserved(
            "checkConnectorsConfigurationInSeconds",
            "whole number of s",
            "Looking for changed files.",
            60,
            "files are read at a start",
        ),
        Key(
            "remoteConfiguration",
            "true or false",
            "Whether the platform may change the configuration; see *Configured by the platform* in compatibility.md.",
            True,
            False,
        ),
        _unserved("proxy_host", "text", "An HTTP proxy on the way to the platform.", "proxy.example.org", NO_PART),
        _unserved("proxy_port", "whole number", "Its port.", 3128, NO_PART),
        _unserved("keep_alive", "whole number of s", "The connection is tested every 30 s.", 120, NO_PART),
        _unserved(
            "syncDevicesSharedAttributesOnConnect",
            "true or false",
            "What `attributeUpdates` or a connector of your own names is always asked for when a device is announced.",
            True,
            NO_PART,
        ),
        _unserved("managerEnabled", "true or false", "The shell of ThingsBoard's gateway.", False, NO_PART),
        _unserved(
            "latencyDebugMode", "true or false", "Times of each step, sent along.", True, "`serialgw watch` shows them"
        ),
        _rate("rateLimits", "messages with data of the gateway itself"),
        _rate("dpRateLimits", "values in these"),
        _rate("messagesRateLimits", "other messages of the gateway itself"),
        _rate(
            "deviceRateLimits", "messages with data of devices, all together: each device in a message counts as one"
        ),
        _rate("deviceDpRateLimits", "values in these"),
        _rate(
            "deviceMessagesRateLimits",
            "other messages of devices, all together: announcements, goodbyes, answers to calls",
        ),
    ),
)

SECURITY: Final = Section(
    "thingsboard.security",
    "Security, `thingsboard.security`",
    "In ThingsBoard: *Entities*, *Devices*, *+*, tick *Is gateway*, then *Copy access token*. Secrets may stand in the "
    "environment, or in files of their own, instead (below); no message and no other process ever shows one.",
    (
        Key(
            "type",
            "`none`, `accessToken`, `usernamePassword`, `tlsAccessToken` or `tlsPrivateKey`",
            "How. The tls types connect with TLS; with `tlsPrivateKey` the gateway shows a certificate of its own.",
            "accessToken",
            instead="by the keys that are given",
        ),
        Key("accessToken", "text", "The access token of a device that is a gateway.", "A1_TEST_TOKEN", instead="none"),
        Key("username", "text", "With `usernamePassword`.", "gateway", instead="none"),
        Key("password", "text", "With `usernamePassword`.", "hidden", instead="none"),
        Key("clientId", "text", "The MQTT client id.", "gateway-1", instead="one that is drawn once, and kept"),
        Key(
            "caCert",
            "text",
            "File with the certificate of who has signed the platform's; with it the connection is TLS. Relative to the "
            "main file, as all files here.",
            "ca.pem",
            instead="the system's, with a tls type",
        ),
        Key("insecure", "true or false", "With TLS: true does not check the server's certificate.", False, False),
        Key(
            "privateKey",
            "text",
            "File with the private key of the client certificate, without a password.",
            "key.pem",
            instead="none",
        ),
        Key(
            "cert",
            "text",
            "File with the client certificate, by which the gateway proves who it is; those that have signed it may "
            "follow in the same file.",
            "cert.pem",
            instead="none",
        ),
        Key(
            "tls",
            "true or false",
            "TLS also where neither `type` nor `caCert` asks for it.",
            True,
            instead="true if `port` is 8883",
        ),
        _unserved("checkCertPeriod", "whole number of s", "Looking after certificates.", 86_400, NO_PART),
        _unserved("certificateDaysLeft", "whole number", "Warning of certificates that end.", 3, NO_PART),
    ),
)

PROVISIONING: Final = Section(
    "thingsboard.provisioning",
    "Provisioning, `thingsboard.provisioning`",
    "A gateway whose `security` has no credentials asks the platform for some, once, and keeps them in the data directory "
    "(`publisher.credentials`). In ThingsBoard: the device profile of gateways, *Device provisioning*. The secrets among "
    "these may stand in the environment, or in files of their own.",
    (
        Key(
            "type",
            "`ACCESS_TOKEN`, `MQTT_BASIC` or `X509_CERTIFICATE`",
            "What kind of credentials. With the last one the gateway makes a key and a certificate of its own, by the "
            "command `openssl`.",
            "MQTT_BASIC",
            "ACCESS_TOKEN",
        ),
        Key("provisionDeviceKey", "text", "The profile's key. Required.", "A1_TEST_KEY", instead="required"),
        Key("provisionDeviceSecret", "text", "The profile's secret. Required.", "hidden", instead="required"),
        Key(
            "deviceName", "text", "What the gateway is to be called.", "Gateway 7", instead="Gateway, and five letters"
        ),
        Key(
            "access_token",
            "text",
            "The access token that it wishes for.",
            "A1_TEST_TOKEN",
            instead="one that is drawn",
            also="accessToken",
        ),
        Key("username", "text", "With `MQTT_BASIC`: the name that it wishes for.", "gw", instead="one that is drawn"),
        Key("password", "text", "With `MQTT_BASIC`.", "hidden", instead="one that is drawn"),
        Key("client_id", "text", "With `MQTT_BASIC`.", "gw-1", instead="one that is drawn", also="clientId"),
        Key("caCert", "text", "As in `security`.", "ca.pem", instead="that of `security`"),
    ),
)

FILTERING: Final = Section(
    "thingsboard.deviceFiltering",
    "Device filtering, `thingsboard.deviceFiltering`",
    'The file says by connector which devices are left out: `{"deny": {"Serial": ["press7", "test.*"]}}`. A pattern '
    "is a regular expression that has to match the whole name. What is not denied is sent; `allow` changes nothing, as in "
    "ThingsBoard's gateway. Such a device is not announced, its readings are counted (`readings_filtered`) and not kept.",
    (
        Key("enable", "true or false", "Whether devices are left out at all.", False, False),
        Key("filterFile", "text", "The file, relative to the main file.", "list.json", instead="none"),
    ),
)

ACTIVITY: Final = Section(
    "thingsboard.checkingDeviceActivity",
    "Device activity, `thingsboard.checkingDeviceActivity`",
    "A device that has said nothing for the time is disconnected on the platform, and connected again with its next "
    "reading. Its port stays open, and calls reach it.",
    (
        Key("checkDeviceInactivity", "true or false", "Whether that is done.", True, False),
        Key("inactivityTimeoutSeconds", "whole number of s", "The time.", 300, 50),
        Key("inactivityCheckPeriodSeconds", "whole number of s", "How often it is looked at.", 10, 1),
    ),
)

STATISTICS: Final = Section(
    "thingsboard.statistics",
    "Statistics, `thingsboard.statistics`",
    "Telemetry of the gateway's own device, with the keys that ThingsBoard's gateway dashboards read.",
    (
        Key("enable", "true or false", "Whether it is sent.", False, True),
        Key("statsSendPeriodInSeconds", "whole number of s", "How often; 10 at least.", 30, 60),
        _unserved("enableCustom", "true or false", "Values that commands print.", True, "the gateway runs no commands"),
        _unserved(
            "configuration", "text", "A file of such commands.", "statistics.json", "the gateway runs no commands"
        ),
        _unserved(
            "customStatsSendPeriodInSeconds", "whole number of s", "How often.", 3_600, "the gateway runs no commands"
        ),
    ),
)

STORAGE: Final = Section(
    "storage",
    "Storage, `storage`",
    "Each device has a journal, whatever the type is; the type says which keys limit it. A journal holds the least of "
    "`uplinkQueueSize`, the records and the size that are configured, and its share of all journals together: 4 GiB, and "
    "a fifth of the disk, at most. The oldest frames go first, and are counted (`frames_shed`).",
    (
        Key("type", "`memory`, `file` or `sqlite`", "`memory` keeps journals in /dev/shm.", "sqlite", "sqlite"),
        Key(
            "data_file_path",
            "text",
            "`sqlite`: a file whose folder is the journals', or that folder. Relative to the main file.",
            "./data/data.db",
            instead="`journals` in the data directory",
        ),
        Key(
            "data_folder_path",
            "text",
            "`file`: the journals' folder.",
            "./data",
            instead="`journals` in the data directory",
        ),
        Key(
            "size_limit",
            "whole number of MB",
            "`sqlite`: times `max_db_amount`, the size of a journal.",
            100,
            instead="256 MiB",
        ),
        Key(
            "max_db_amount", "whole number", "`sqlite`: see `size_limit`.", 2, instead="10, where `size_limit` is given"
        ),
        Key(
            "max_records_per_file",
            "whole number",
            "`file`: times `max_file_count`, the frames of a journal.",
            1_000,
            instead="`uplinkQueueSize` of the connector",
        ),
        Key("max_file_count", "whole number", "`file`: see there.", 5, instead="10, where the other one is given"),
        Key(
            "max_records_count",
            "whole number",
            "`memory`: the frames of a journal.",
            10_000,
            instead="`uplinkQueueSize`",
        ),
        Key(
            "messages_ttl_in_days",
            "number of days",
            "`sqlite`: what is older is not sent any more.",
            7,
            instead="never",
        ),
        Key(
            "durability",
            "`process` or `power`",
            "`power` also survives a power cut, and waits for the disk at each commit.",
            "power",
            "process",
        ),
        *(
            _unserved(name, "whole number", "How ThingsBoard's gateway works with its store.", 100, NO_PART)
            for name in (
                "read_records_count",
                "max_read_records_count",
                "messages_ttl_check_in_hours",
                "oversize_check_period",
                "writing_batch_size",
                "max_records_between_fsync",
            )
        ),
    ),
)

CONNECTORS: Final = Section(
    "connectors[]",
    "Connectors, an entry of `connectors`",
    "An entry whose class is your own is [hosted](connectors.md), and has two keys more: `uplinkQueueSize`, how many entries its journal keeps at most, and `memoryLimitMB`.",
    (
        Key(
            "type",
            "text",
            '`serial`, or `custom` with a class whose name has "serial" in it. Others are warned of.',
            "serial",
            instead="required",
        ),
        Key("name", "text", "What it is called. It wins over the name in its file.", "Serial", instead="the file's"),
        Key(
            "configuration",
            "text",
            "The connector's file, beside the main one.",
            "custom_serial.json",
            instead="required",
        ),
        Key("logLevel", "`TRACE` to `CRITICAL`, or `NONE`", "How much users' converters log.", "DEBUG", "INFO"),
        Key("id", "text", "By which the platform knows the connector.", "1", instead="one that is made from the name"),
        _unserved("class", "text", "serialgw's own serial connector reads the file.", "SerialConnector", NO_PART),
        Key(
            "enableRemoteLogging",
            "true or false",
            "Whether the platform is told what is logged about the connector's devices.",
            True,
            False,
        ),
        Key("reportStrategy", "object", "Where the connector's file names none.", STRATEGY, instead="none"),
        _unserved("configVersion", "text", "The version of ThingsBoard's gateway.", "3.8", NO_PART),
        _unserved("useGRPC", "true or false", "Connectors that attach over gRPC.", False, NO_PART),
        _unserved("useGRPCForce", "true or false", "The same.", False, NO_PART),
        _unserved("key", "text", "Who such a connector is.", "auto", NO_PART),
    ),
)

CONNECTOR: Final = Section(
    "(connector)",
    "A connector file, such as `custom_serial.json`",
    "",
    (
        Key(
            "name",
            "text",
            "What it is called; required where the main file does not say it.",
            "Serial",
            instead="required",
        ),
        Key("devices", "list of objects", "The devices; see *Devices*. Required.", [], instead="required"),
        Key("uplinkQueueSize", "whole number", "How many frames a device's journal keeps at most.", 50_000, 100_000),
        Key("logLevel", "`TRACE` to `CRITICAL`, or `NONE`", "How much users' converters log.", "INFO", "INFO"),
        Key("id", "text", "By which the platform knows the connector.", "1", instead="one that is made from the name"),
        _unserved("type", "text", "The main file says it.", "serial", NO_PART),
        _unserved("class", "text", "The main file says it.", "SerialConnector", NO_PART),
        _unserved("configVersion", "text", "The version of ThingsBoard's gateway.", "3.8", NO_PART),
        Key(
            "enableRemoteLogging",
            "true or false",
            "Whether the platform is told what is logged about its devices; this wins over the main file.",
            True,
            False,
        ),
        _REPORT,
    ),
)

_APART: Final = (
    Key(
        "when",
        "regular expression, or object",
        "Only frames that match it, or that have the bytes `is` at byte `at`, are of this message.",
        {"at": 1, "is": "hex:03"},
        None,
        instead="all frames",
    ),
    Key(
        "fields",
        "text",
        'What stands between two fields of the body; `" "` is any run of blanks. The body is the frame without start, end and checksum.',
        ",",
        None,
        instead="none",
    ),
    Key(
        "pairs",
        "list of two texts",
        "What stands between two pairs of the body, and between a name and its value.",
        [";", "="],
        None,
        instead="none",
    ),
    Key(
        "pattern",
        "text",
        "What the body looks like, with `{name}` where a value stands and `{}` where anything may; a blank is any run of blanks. Only such "
        "frames are of this message.",
        "S {stable} {weight} {unit}",
        None,
        instead="none",
    ),
    Key(
        "regex",
        "regular expression",
        "The same by groups with names, on the whole frame.",
        "T=(?P<t>[0-9.]+)",
        None,
        instead="none",
    ),
    Key(
        "decode",
        "object",
        "Bytes that are written as text: `as` is `hex` or `decimal`, `minus` is taken from each byte, `from` and `to` are "
        "positions in the frame (without them it is the body). Fields and `at` count in what comes out.",
        {"as": "hex", "from": 1, "to": -2},
        None,
        instead="none",
    ),
    Key(
        "timestamp",
        "object",
        "The device's own time: a place as a data point has one, `format` (`iso`, `epoch`, `epochMs`, `dsmr`, `nmea`, or a notation with `%`), `zone` "
        "of its clock, `within` (s): one further from ours is not taken.",
        {"regex": "^[0-9]+", "format": "epoch", "within": 600},
        None,
        instead="the time at which the frame was read",
    ),
    Key(
        "error",
        "text",
        "Such a frame is a refusal, and this says what it means: the error of the call that waits for its answer, which it ends at once; where a question was asked, the reason in `status`; else a dead letter.",
        "the device does not know the command",
        None,
        instead="none",
    ),
    Key(
        "device",
        "object",
        "Which device of the platform the values belong to: `name` and `type`, with `${key}` for the value of a data point.",
        {"name": "sensor ${humidity}"},
        None,
        instead="the device itself",
    ),
)

ASKED: Final = (
    Key(
        "ask",
        "text, or list of steps",
        "What is asked, again and again or once; the answer has the message's name. Text stands for bytes: `<STX>` is a control character, `hex:AA C0` any bytes. "
        'Steps are gone through in order: `{"send": text}`, `{"expect": message}`, `{"wait": seconds}`, `{"baudrate": 9600}`, `{"dtr": true}`, `{"rts": true}`.',
        "READ?",
        instead="nothing is asked",
    ),
    Key(
        "every",
        "seconds",
        "From the beginning of one turn to that of the next. A turn that comes while the one before it still waits is missed, and counted. "
        "A device says it for all its messages, a message and a data point with a register for themselves.",
        5,
        instead="not again and again",
    ),
    Key(
        "aligned", "true or false", "Turns are at whole multiples of `every` on the clock (UTC).", True, instead="false"
    ),
    Key(
        "on",
        "`connect`",
        "Asked once after each opening of the port, and each return of the device.",
        "connect",
        instead="not then",
    ),
    Key(
        "answer",
        "regular expression",
        "What the answer looks like, where `when` does not say it. An echo, a blank line and what other messages fit are never the answer.",
        "^[+-]",
        instead="what the message fits",
    ),
    Key(
        "timeoutMs",
        "milliseconds",
        "How long the answer may take. After that nothing is asked of the device for as long again, so that a late answer is not taken for another's.",
        3000,
        instead="1000",
    ),
    Key(
        "retries",
        "whole number",
        "How often a question without an answer is asked again in one turn. Calls are never repeated.",
        0,
        instead="1",
    ),
    Key(
        "reply",
        "text",
        "What is sent back when such a frame is in the journal: what was acknowledged is not lost.",
        "<ACK>",
        instead="nothing",
    ),
)
"""Of a message, and of a device that is one."""
OF_PROFILES: Final = (
    Key(
        "profile",
        "text or list",
        'What is known of its kind of device; the section lies over it, see [profiles.md](profiles.md). In the lists of such a section `"enabled": false` drops an entry of the profile.',
        "eastron-sdm120",
        instead="none: the section says all",
    ),
    Key(
        "parameters",
        "object",
        "What the profile wants to know, by name: `serialgw profiles show NAME` lists them.",
        {"address": 2},
        instead="those of the profile",
    ),
)
"""Of a device of a known kind."""
OF_LINES: Final = (
    Key(
        "send",
        "object",
        "What is added to everything that is written, questions and calls: `start`, `checksum` (true: as the frames have it; or an object as `checksum` is) and `end`. `escape`: true, where bytes inside are escaped as in the frames, "
        "or an object as `escape` of `framing` is, with `also`, the bytes that are escaped besides. Escaped is what stands between `start` and `end`, the checksum with it; it is over what is meant. Where any byte can be escaped (`xor`) those of `start` and `end` are, and those of "
        "the start, the end and `skip` of the frames.",
        {"end": "\r\n"},
        instead="nothing",
    ),
    Key(
        "init",
        "list of steps",
        "What the device is told after each opening, before anything else; steps as in `ask`. Where it fails the port counts as not open.",
        [{"send": "*CLS"}, {"wait": 0.2}],
        instead="nothing",
    ),
    Key(
        "onBadFrame",
        "object",
        "What is sent where the checksum of a frame is wrong: `send`, a text.",
        {"send": "<NAK>"},
        instead="nothing",
    ),
    Key(
        "dropRepeats",
        "true or false",
        "A frame that comes again within 30 s is answered by its `reply` and not kept: one that is the one before it once more, or one of a message that the device starts over after the port or its reader has failed (up to 64 frames).",
        True,
        instead="false",
    ),
    Key(
        "address",
        "whole number",
        "The device's place on a bus: devices with the same `port` and an `address` each share the line, and one process. Of Modbus the unit, of M-Bus the primary address; 254, to which every meter answers, for one that has the line for itself.",
        7,
        instead="the line is the device's alone",
    ),
    Key(
        "bus",
        "object",
        "How a line is shared; one device says it for all. `pauseMs`: nothing is written for so long after an answer (0). `echo`: the line repeats what is written (false). "
        "`offlineAfter`: turns without an answer after which a device is disconnected (3). `maxBackoff`: the longest pause between its probes, in seconds (30). `rs485`: the port's driver switches the direction of the line by the pin RTS: true, or an object with `rtsOnSend` (true), `delayBeforeMs` and `delayAfterMs` (0, up to 100). Most adapters switch by themselves and need none of it; a driver that can't is told in `serialgw status`.",
        {"pauseMs": 30, "echo": True, "offlineAfter": 5, "maxBackoff": 60, "rs485": {"delayBeforeMs": 1}},
        instead="the values in brackets",
    ),
    Key(
        "merge",
        "true or false",
        "Neighbouring Modbus registers are read at once, up to 125, with holes of up to 4. A read that the device refuses as a whole is split from then on.",
        False,
        instead="true",
    ),
)
"""Of a device that is asked."""
REGISTERS: Final = (
    Key(
        "register",
        "text",
        "Of a Modbus device: what the call reads where it has no params, and writes where it has: `holding:28`, `holding:0x1C`, `coil:3`, or `40029`.",
        "holding:28",
        instead="none",
    ),
    Key("count", "whole number", "How many registers or coils.", 2, instead="as many as the type has"),
    Key(
        "function",
        "whole number",
        "The Modbus function: 1 to 4 read, 5 and 15 switch coils, 6 and 16 write registers.",
        16,
        instead="the one that fits",
    ),
    Key("byteorder", "as a device's", "Of the number in the registers.", "CDAB", instead="big"),
    Key("offset", "number", "Added to the number in the register before it is multiplied.", 5, instead="0"),
    Key("scale", "number", "What it is multiplied by.", 0.1, instead="1"),
)
"""Of calls and attribute updates of a Modbus device, whose `type` is that of the register."""
ASKED_BY_CALLS: Final = (
    Key(
        "ask",
        "text",
        "As `template`, with control characters by their names: `<STX>`.",
        "POP0${params}",
        instead="none",
    ),
    Key("answer", "regular expression", "As `responsePattern`, and the answer is awaited.", "^ACK", instead="none"),
    Key("timeoutMs", "milliseconds", "As `responseTimeoutSec`.", 2000, instead="5000, of a register 1000"),
)
"""Other words for what a call writes and hears, as questions have them."""


DEVICE: Final = Section(
    "devices[]",
    "Devices, an entry of `devices`",
    "One device on one serial port. The first keys are the line, the next ones say where a frame ends, the last ones what "
    "is made of it.",
    (
        Key("deviceName", "text", "What the device is called on the platform.", "press1", "SerialDevice", also="name"),
        Key("deviceType", "text", "Its device profile on the platform.", "press", "default", also="type"),
        Key(
            "port",
            "text",
            "A path, best one of /dev/serial/by-id; or `usb://VID:PID[:SERIAL][@PLACE][?interface=N&port=N]`, a USB adapter "
            "by what it is or by where it is plugged in, as `serialgw ports` prints it, looked for anew each time the "
            "port is opened; or `rfc2217://HOST:PORT`, a port of another machine, behind a server that is told the settings "
            "below (ser2net, and most device servers); or `socket://HOST:PORT`, the same raw, with the server's own settings; "
            "or `tcp-listen://:PORT`, where the device connects by itself, `tcp-listen://ADDRESS:PORT` at one address only.",
            "/dev/ttyUSB0",
            "/dev/ttyUSB0",
        ),
        Key("baudrate", "whole number", "Bits a second, as the device has them.", 115_200, 9600),
        Key("bytesize", "5 to 8", "Data bits.", 7, 8),
        Key("parity", "`N`, `E`, `O`, `M` or `S`", "None, even, odd, mark or space.", "E", "N"),
        Key("stopbits", "1, 1.5 or 2", "Stop bits.", 2, 1),
        Key("xonxoff", "true or false", "Flow control by characters.", True, False),
        Key("rtscts", "true or false", "Flow control by the lines RTS and CTS.", True, False),
        Key("dsrdtr", "true or false", "Flow control by the lines DSR and DTR.", True, False),
        Key(
            "dtr",
            "true or false",
            "The pin DTR from the opening on. `false`: off at once; for a moment the kernel has had it on. `true`: on, and it stays on "
            "when the port is closed, so that an Arduino or another board that DTR resets is not reset by a restart of the gateway.",
            True,
            None,
            instead="on while the port is open",
        ),
        Key(
            "rts", "true or false", "The pin RTS from the opening on.", False, None, instead="on while the port is open"
        ),
        Key("exclusive", "true or false", "Keeps other programs from opening the port meanwhile.", False, True),
        Key(
            "writeTimeout",
            "number of s",
            "How long a write may take until it has left the machine.",
            2,
            None,
            instead="what is left of its call's time",
        ),
        Key(
            "interByteTimeout",
            "number of s",
            "Handed to the serial library; changes nothing.",
            0.1,
            None,
            unapplied="reads never wait",
        ),
        *OF_PROFILES,
        Key(
            "framing",
            "object, list of objects, or a name",
            "What frames look like, where a delimiter alone does not tell; see *Frames*.",
            {
                "start": "hex:55",
                "length": {
                    "at": 1,
                    "type": "uint16",
                    "add": {"at": 3},
                    "plus": 7,
                    "headerChecksum": {"type": "crc8", "from": 1, "to": 5, "at": 5},
                },
                "escape": {"byte": "hex:7D", "xor": "0x20"},
                "checksum": {"type": "crc8", "from": 6},
            },
            instead="`delimiter`",
        ),
        Key(
            "checksum",
            "object, or list of objects",
            "What the bytes of a frame must add up to, beside `framing`; see *Checksums*. Shapes that have a `checksum` of "
            "their own are left out.",
            {"type": "sum8", "from": 2, "to": 8, "at": 8},
            instead="none",
        ),
        Key(
            "delimiter",
            "text",
            "What ends a frame. It stays part of the frame. `serialgw check` says which bytes it is.",
            "\r\n",
            "\n",
        ),
        Key(
            "timeout",
            "number of s, or null",
            "Silence that ends a frame on a line that has never sent the delimiter; null waits for ever.",
            0.5,
            1,
        ),
        Key("maxFrameBytes", "whole number of bytes", "A longer frame is a dead letter.", 1024, 65_536),
        Key(
            "firstFrame",
            "`discard` or `keep`",
            "What comes before the first delimiter after the port was opened may be the tail of a frame: a dead letter, "
            "or taken all the same.",
            "keep",
            "discard",
        ),
        Key(
            "telemetry",
            "list of objects",
            "Values over time; see *Data points*.",
            [],
            instead="none",
            also="timeseries",
        ),
        Key(
            "attributes",
            "list of objects",
            "Properties, of which the last value counts; see *Data points*.",
            [],
            instead="none",
        ),
        Key("serverSideRpc", "list of objects", "What the platform may call; see *RPCs*.", [], instead="none"),
        Key(
            "attributeUpdates",
            "list of objects",
            "What is written when an attribute changes on the platform; see *Attribute updates*.",
            [],
            instead="none",
        ),
        Key(
            "converter",
            "text",
            "The class that makes readings of frames; one of your own ([converters](converters.md)) reads frames alone, "
            "without data points.",
            "SerialUplinkConverter",
            "SerialUplinkConverter",
            also="uplink_converter",
        ),
        Key(
            "downlink_converter",
            "text",
            "The class that makes bytes of a call's params, where the RPC has no template.",
            "SerialDownlinkConverter",
            None,
            instead="none: only templates can be written",
        ),
        Key(
            "byteorder",
            "`big`, `little`, `ABCD`, `DCBA`, `CDAB` or `BADC`",
            "Of the numbers that calls write (`CDAB` and `BADC` write as `big`), and of those in binary in frames. ABCD is big, DCBA "
            "little; CDAB has the words of two bytes in turn, BADC the bytes in each word.",
            "little",
            "big",
        ),
        Key(
            "messages",
            "list of objects",
            "The kinds of frames of a device that has several; see *Messages*. With it, data points stand in the messages.",
            [],
            instead="the device is one message, and may have all keys of one but `name`",
        ),
        Key(
            "encoding",
            "text",
            "How text is encoded, by the name that Python has for it: texts, units behind numbers, words for true and false, JSON. It may stand in a message "
            "and a data point too. Delimiters and separators stay the bytes that they are written as.",
            "latin-1",
            None,
            instead="UTF-8",
        ),
        Key(
            "units",
            "true or false",
            "Tells the platform the `unit` of each data point that has one, after the device's first announcement: the attribute `units`, such as "
            '`{"voltage": "V", "power": "W"}`.',
            True,
            instead="false",
        ),
        *_APART,
        *ASKED,
        *OF_LINES,
        _REPORT,
    ),
)


def _spelling(in_words: str, true: str, false: str) -> tuple[Key, ...]:
    """How the device spells fractions, true and false."""
    return (
        Key("decimal", "`.` or `,`", f"What stands before the fraction of a number {in_words}.", ",", "."),
        Key(
            "trueText", "text, or list of texts", f"{true}; `hex:06` is a byte.", "ON", None, instead="none of its own"
        ),
        Key("falseText", "text, or list of texts", false, ["OFF", "AUS"], None, instead="none of its own"),
    )


_BYTES: Final = "text"

FRAMING: Final = Section(
    "devices[].framing",
    "Frames, `framing`",
    "Where frames have a start, a length, an escape or a checksum. The nearest start begins one; if it turns out to be none, "
    "one byte is passed over and the search goes on in what is there already. So noise in front of a frame, or a frame that "
    "was joined late, hides no other. A list describes several shapes, told apart by their starts. What is no frame is a "
    "dead letter, with its reason. `serialgw check` says in words what it understood, and refuses what can't work: *begins "
    "with AA C0, 10 bytes, ends with AB, byte 8 = sum of bytes 2 to 7*.\n\n"
    "Bytes are written as ASCII text, with `\\r` and so on as in JSON, with names of control characters in angle brackets "
    "(`<STX>`), or in digits (`hex:AA C0`). Positions count from 0, negative ones from the end of the frame, escapes undone "
    "and nothing stripped. Numbers may be written as texts in hexadecimal (`0x7F`).\n\n"
    "These names stand for shapes that need not be described: `lines` (each ends with CR, LF or both), `nmea`, `modbus-rtu`, "
    "`modbus-ascii`, `slip`, `cobs`, `hdlc` (as DLMS meters push it), `sml`, `m-bus`, `ve-direct`, and `stx-etx`; `checksum` "
    "may be given beside those that have none of their own.",
    (
        Key(
            "start",
            "text, or list of texts",
            "What a frame begins with: one of these.",
            "hex:AA C0",
            instead="anything",
        ),
        Key(
            "end",
            "text, or list of texts",
            "What it ends with: one of these. With `length`, it must stand there. Without `start`, all up to it is a frame, "
            "or dead if its checksum is wrong; and a line in which nothing stands is none.",
            "<ETX>",
            instead="none",
        ),
        Key(
            "endPlus",
            "whole number of bytes",
            "So many bytes follow the end, whatever they are: a check character.",
            1,
            instead="0",
        ),
        Key("endUntil", _BYTES, "What follows the end goes on up to this, that included.", "\r\n", instead="nothing"),
        Key(
            "length",
            "whole number of bytes, or object",
            "How long all of the frame is, start and end included, escapes not counted; see *Lengths*.",
            10,
            instead="as long as its end says",
        ),
        Key(
            "silenceMs",
            "whole number of ms",
            "A frame ends when the line is silent for so long; with a `length` that is a number it begins then. Only where "
            "nothing else says where frames begin and end: adapters hand over in batches, every 16 ms.",
            20,
            instead="never",
        ),
        Key(
            "escape",
            "object",
            "How bytes are escaped inside; see *Escapes*.",
            {"byte": "hex:7D", "xor": "0x20"},
            instead="none",
        ),
        Key(
            "decode", "`cobs`", "What stands before the end (NUL, if none is given) is COBS.", "cobs", instead="nothing"
        ),
        Key(
            "restart",
            "true or false",
            "A start inside a frame begins it anew: right where it never stands inside one. `serialgw check` asks for it where "
            "two frames may pass for one.",
            True,
            instead="false; `nmea` and `modbus-ascii` have it",
        ),
        Key(
            "strip",
            "list of two numbers",
            "So many bytes are cut off a good frame, in front and at its end.",
            [1, 1],
            instead="nothing is cut off",
        ),
        Key("skip", _BYTES, "Bytes that mean nothing between frames: no dead letter says so.", "\r\n", instead="none"),
        Key(
            "partialMs",
            "whole number of ms",
            "How long the rest of a frame that has begun is waited for.",
            2_000,
            instead="three times as long as it takes on the line, and 500 ms; 500 ms of silence where its length is not known, 30 s "
            "for the rest of a line without `start`",
        ),
        Key("mask", "1 to 255", "What of each byte counts: `0x7F` clears a parity bit.", "0x7F", instead="all"),
        Key(
            "checksum",
            "object, or list of objects",
            "As the device's, for this shape.",
            {"type": "xor8"},
            instead="the device's",
        ),
    ),
)

LENGTH: Final = Section(
    "devices[].framing.length",
    "Lengths, `length`",
    "Where the frame says itself how long it is: the number at a place, times `times`, and `plus`. What is longer than "
    "`maxFrameBytes` is no frame.",
    (
        Key("at", "whole number", "Where the number stands, from 0. Required.", 2, instead="required"),
        Key(
            "type",
            "`uint8`, `uint16`, `uint24`, `uint32`, `dec1` to `dec8`, `hex1` to `hex8`",
            "How it is written: as bytes, or in so many digits.",
            "uint16",
            instead="`uint8`",
        ),
        Key("byteorder", "`big` or `little`", "Which byte of it is first.", "little", instead="`big`"),
        Key("mask", "whole number", "What of it counts.", "0x7FF", instead="all"),
        Key("times", "whole number", "How many bytes one means.", 2, instead="1"),
        Key("plus", "whole number", "How many bytes it does not count.", 4, instead="0"),
        Key(
            "add",
            "object, or list of objects",
            "Another number that counts as well: with `at`, `type`, `byteorder`, `mask` and `times`.",
            {"at": 3},
            instead="none",
        ),
        Key(
            "headerChecksum",
            "object",
            "A checksum that must be right before the length is believed; its positions count from 0.",
            {"type": "crc8", "from": 1, "to": 5, "at": 5},
            instead="none",
        ),
    ),
)

ESCAPE: Final = Section(
    "devices[].framing.escape",
    "Escapes, `escape`",
    "How bytes that mean something to the framing stand inside a frame. Data points see the frame with escapes undone.",
    (
        Key(
            "byte",
            "text, or number",
            "The byte that says that the next one is meant otherwise. Required.",
            "hex:7D",
            instead="required",
        ),
        Key("xor", "number", "The next byte XOR this is meant.", "0x20", instead="`map` or `double`"),
        Key("map", "object", "The next byte, and what is meant.", {"hex:DC": "hex:C0"}, instead="`xor` or `double`"),
        Key("double", "true", "The byte twice is itself.", True, instead="`xor` or `map`"),
    ),
)

CHECKSUM: Final = Section(
    "devices[].checksum",
    "Checksums, `checksum`",
    "A frame whose checksum is wrong is none. All of a list must be right. A manual that names none says its parameters. "
    "Of the polynomial 0x1021, not reflected: `crc16-ccitt-false` begins with 0xFFFF, `crc16-xmodem` with 0, "
    "`crc16-aug-ccitt` with 0x1D0F; reflected (0x8408): `crc16-kermit` with 0, `crc16-mcrf4xx` with 0xFFFF, `crc16-x25` "
    "with 0xFFFF and with all bits turned at the end. Of 0x8005: `crc16-cms`, not reflected, with 0xFFFF; reflected "
    "(0xA001): `crc16-modbus` with 0xFFFF, `crc16-arc` with 0.",
    (
        Key(
            "type",
            "text",
            "`sumN` (of all bytes), `negN` (its two's complement), `notN` (its complement), with N 8, 16 or 32; `xor8`; "
            "`fletcher8` (as UBX has it); `crc8`, `crc8-maxim`, `crc8-sensirion`, `crc16-arc`, `crc16-aug-ccitt`, "
            "`crc16-ccitt-false`, `crc16-cms`, `crc16-dnp`, `crc16-en13757`, `crc16-kermit`, `crc16-mcrf4xx`, `crc16-modbus`, "
            "`crc16-x25`, `crc16-xmodem`, `crc24q`, `crc32`, `crc32-mpeg2`.",
            "crc16-modbus",
            instead="`width` and `poly`",
        ),
        Key(
            "width", "3 to 64", "Any other CRC, by the parameters that catalogues have: its bits.", 16, instead="`type`"
        ),
        Key("poly", "number", "Its polynomial.", "0x8005", instead="`type`"),
        Key("init", "number", "What its register begins with.", "0xFFFF", instead="0"),
        Key("refin", "true or false", "Whether bytes are reflected.", True, instead="false"),
        Key("refout", "true or false", "Whether the register is, at the end.", True, instead="false"),
        Key("xorout", "number", "What the register is XORed with at the end.", "0xFFFF", instead="0"),
        Key("from", "whole number", "The first byte that it is over.", 2, instead="0"),
        Key("to", "whole number", "It is over all bytes before this one.", 8, instead="all before the checksum"),
        Key("toAfter", _BYTES, "It is over all bytes up to this text, that included.", "!", instead="`to`"),
        Key("at", "whole number", "Where it stands.", -2, instead="last of all"),
        Key("after", _BYTES, "It stands behind this text, the last one in the frame.", "*", instead="`at`"),
        Key(
            "as",
            "`big`, `little`, `hex`, `dec` or `sdi12`",
            "How it stands there: as bytes, the high or the low one first; in digits, of which hexadecimal ones behind `after` "
            "may lack zeros in front; in three characters of six bits.",
            "little",
            instead="`big`",
        ),
        Key(
            "result",
            "number",
            "It stands nowhere: over all its bytes this must come out.",
            0,
            instead="it stands at a place",
        ),
        Key(
            "unit",
            "`bytes` or `hexPairs`",
            "Whether two hexadecimal digits make each byte that it is over.",
            "hexPairs",
            instead="`bytes`",
        ),
        Key(
            "each",
            "list of two texts",
            "The frame has parts, each from the first text to the second, and each with such a checksum: positions count in a "
            "part.",
            ["\n", "\r"],
            instead="one for the frame",
        ),
        Key("mask", "number", "What of the sum counts.", "0x3F", instead="all"),
        Key("plus", "number", "What is added to that.", 32, instead="0"),
        Key(
            "avoid",
            _BYTES,
            "Bytes that never stand in the checksum: one more is sent instead.",
            "hex:28 0D 0A",
            instead="none",
        ),
    ),
)

POINT: Final = Section(
    "devices[].telemetry[]",
    "Data points, an entry of `telemetry` or `attributes`",
    "Which bytes of a frame are the value, and what they are. Where a delimiter is named, byte positions have no effect; "
    "where nothing is named, it is the whole frame; with a `framing` that has a start, or an end that is no line's end, text is what stands between. More places and types stand in *Data points with a place*. `serialgw check` shows it as a slice, `serialgw try` on a frame of "
    "yours. What is not found is absent: nothing is sent for it.",
    (
        Key("key", "text", "The value's name on the platform.", "humidity", instead="required"),
        Key(
            "type",
            "`string`, `int`, `float`, `double`, `bool` or `json`",
            "What the bytes are, as text. Any other word, and none, means the bytes in hexadecimal.",
            "float",
            instead="hexadecimal",
        ),
        Key(
            "fromDelimiter",
            "text",
            "The value begins behind this text.",
            "humidity=",
            None,
            instead="the frame's begin",
        ),
        Key("untilDelimiter", "text", "It ends before this text.", " ", None, instead="the frame's end"),
        Key("keepDelimiter", "true or false", "`fromDelimiter` is part of the value.", True, False),
        Key(
            "fromByte",
            "whole number",
            "The first byte, counted from 0; from the end where negative.",
            3,
            None,
            instead="0",
        ),
        Key(
            "toByte",
            "whole number",
            "The byte behind the last one; from the end where negative.",
            -1,
            None,
            instead="the end",
        ),
        _REPORT,
        *_spelling(
            "of type `float` or `double`",
            "What a `bool` is true by, before the words that everybody knows (true, yes, on, y, t, enabled)",
            "What it is false by, before false, no, off, n, f, disabled.",
        ),
    ),
)


def _place(name: str, kind: str, meaning: str, example: Any, **beside: Any) -> Key:
    """A key that says where a value stands; a data point has one of them."""
    return Key(name, kind, meaning, example, instead="none", beside=beside or {"type": "string"})


OF_ANSWERS: Final = (
    Key(
        "framing",
        "as a device's",
        "What the answer to its `ask` looks like, where frames of the line look otherwise: in force from the moment the question is out until it is "
        "answered or given up; no other frame is taken for it. A fixed length alone is enough here, as the first byte is known. "
        "The device needs a `framing` too, the message a `name`, and no step may `expect` it.",
        {"length": 19},
        instead="the device's",
    ),
    Key("checksum", "as a device's", "Of its `framing`.", {"type": "crc16-modbus"}, instead="none"),
)
"""Of a message that is asked for."""
MESSAGE: Final = Section(
    "devices[].messages[]",
    "Messages, an entry of `messages`",
    "One kind of frame. The first message that fits a frame takes it, and one that fits all frames only what no other does; a frame that "
    "fits none is a dead letter. A message that no frame can reach is refused.",
    (
        Key("name", "text", "By which it is known.", "status", None, instead="none"),
        Key("telemetry", "list of objects", "As a device's; see *Data points with a place*.", [], instead="none"),
        Key("timeseries", "list of objects", "Older word for `telemetry`.", [], instead="none"),
        Key("attributes", "list of objects", "As a device's.", [], instead="none"),
        Key("byteorder", "as a device's", "Of its numbers in binary.", "little", instead="the device's"),
        Key("encoding", "text", "Of its text.", "latin-1", None, instead="the device's"),
        *OF_ANSWERS,
        *_APART,
        *ASKED,
    ),
)

PLACED: Final = Section(
    "devices[].messages[].telemetry[]",
    "Data points with a place",
    "Besides the keys of *Data points*, and in place of delimiters and byte positions, a data point may have one of the first ten keys here; the "
    "others say what becomes of what stands there, in the order in which they are listed, from `invalid` on. No value is neither 0 nor a dead letter: "
    "nothing is sent, and it is counted.",
    (
        Key("key", "text", "The value's name on the platform.", "humidity", instead="required"),
        Key(
            "type",
            "text",
            "Besides those of *Data points* and `hex`: in binary `int8` to `uint64`, `int24`, `uint24`, `float32`, `float64`, `bcd`; in text `hexint` "
            "(hexadecimal digits), `bits` (binary digits, or bytes), `time`, `nmeaAngle`.",
            "int",
            instead="text; bytes in hexadecimal with `at`; what it is in JSON, SML and M-Bus",
        ),
        _place("at", "whole number", "The first byte, from 0; from the end where negative.", 4, type="uint16"),
        _place("field", "whole number", "The number of a field, from 0.", 3),
        _place(
            "fields",
            "list of whole numbers",
            "Fields that are one value together, as an angle and its letter.",
            [3, 4],
            type="nmeaAngle",
        ),
        _place("name", "text", "A name of `pairs`, `pattern` or `regex`.", "weight"),
        _place(
            "regex",
            "regular expression",
            "What its first group finds in the whole frame, or all of it without a group.",
            "T=([0-9.]+)",
        ),
        _place("obis", "text", "An OBIS code, in P1 telegrams, IEC 62056-21 readouts and SML files.", "1-0:1.8.0"),
        _place(
            "mbus",
            "text",
            "An M-Bus record by what it is: `energy`, `volume`, `flow temperature` …, behind it `storage N`, `tariff N`, `unit N`, `maximum`, `minimum`.",
            "energy storage 1",
        ),
        _place(
            "register",
            "text",
            "A register, coil or input of a Modbus device, by its table and its address from 0: `input:12`, `holding:0x1C`, `coil:3`, `discrete:4`, or with the five or "
            "six digits of manuals, which count from 1: `40001` is `holding:0`. Its `type` is `uint16` where nothing is said; `length` in bytes is that of a text.",
            "input:12",
        ),
        Key(
            "every",
            "seconds",
            "How often a register is read.",
            60,
            instead="the device's",
            beside={"register": "input:12", "type": "uint16"},
        ),
        _place(
            "path",
            "text",
            "A member of JSON. A value in quotes is read by the point's type, as anywhere else; one member that is no JSON (`nan`, `007`, `ERR`) takes no other with it.",
            "pos.x",
        ),
        _place("value", "any value", "A value that such a frame means, whatever it says.", True),
        Key(
            "length",
            "whole number of bytes",
            "Of `at`, where the type does not say it.",
            2,
            None,
            instead="up to the body's end",
            beside={"at": 0},
        ),
        Key("group", "whole number", "Which of the brackets behind an OBIS code.", 1, 0, beside={"obis": "1-0:1.8.0"}),
        Key(
            "byteorder",
            "as a device's",
            "Of this number.",
            "CDAB",
            instead="the message's",
            beside={"at": 4, "type": "uint32"},
        ),
        Key("encoding", "text", "Of this text.", "cp437", None, instead="the message's", beside={"regex": "^.*"}),
        Key(
            "format",
            "text",
            "How a `time` is written; see `timestamp` of a message.",
            "epoch",
            "iso",
            beside={"regex": "^.*", "type": "time"},
        ),
        Key(
            "zone",
            "text",
            "Where its clock stands.",
            "Europe/Amsterdam",
            None,
            instead="UTC",
            beside={"regex": "^.*", "type": "time"},
        ),
        Key(
            "invalid",
            "number, text, or list",
            "What the device says for no value: a number, or a text; of a number in binary also its bytes, as `hex:80 00`.",
            [32767, "#"],
            None,
            instead="none, but for empty text, NaN and infinity",
        ),
        Key(
            "bits",
            "list of two bits",
            "The highest and the lowest bit of those that are the value.",
            [7, 4],
            None,
            instead="all",
        ),
        Key("bit", "whole number", "The bit that is true or false, from 0, the lowest.", 3, None, instead="none"),
        Key("signBit", "whole number", "The bit that makes what is below it negative.", 15, None, instead="none"),
        Key(
            "map",
            "object",
            "What stands there, and the value that it means; what is not in it is an error.",
            {"0": "off", "1": "on"},
            None,
            instead="none",
        ),
        Key("offset", "number", "Added before it is scaled.", -2731, 0),
        Key("scale", "number", "The factor. One that is a whole part of 1 divides: 2302 at 0.1 is 230.2.", 0.1, 1),
        Key(
            "exponentAt",
            "whole number, or object",
            "The byte that says by which power of ten it is multiplied. `{at, signBit, negativeBit}`: which of its bits are signs, of the exponent and of the number.",
            {"at": 6, "signBit": 6},
            None,
            instead="none",
            beside={"at": 7, "type": "uint32"},
        ),
        Key("decimals", "0 to 15", "Digits behind the point to which it is rounded.", 2, None, instead="as it is"),
        Key("min", "number", "A smaller value is none.", 0, None, instead="none"),
        Key("max", "number", "A larger value is none.", 100, None, instead="none"),
        Key(
            "unit",
            "text",
            "What it is measured in: cut off behind a number in text, and converted to from what a meter says; the platform is told it where the device has `units`.",
            "kWh",
            None,
            instead="none",
        ),
    ),
)

RPC: Final = Section(
    "devices[].serverSideRpc[]",
    "RPCs, an entry of `serverSideRpc`",
    "What is written to the device when the platform calls a method, and what of its answer is the result.",
    (
        Key("method", "text", "The name that the platform calls.", "setValue", instead="required"),
        Key(
            "template",
            "text",
            "What is written, with `${params}`, `${params.NAME}`, `${deviceName}` and `${deviceType}` filled in.",
            "SET ${params}\n",
            None,
            instead="params by `type`, with a `downlink_converter`",
        ),
        Key(
            "type",
            "`string`, `int`, `float` or `double`",
            "How params become bytes without a template; with one, what `${params}` must be.",
            "int",
            "string",
        ),
        Key("length", "1 to 64 bytes", "How many bytes an int has.", 2, None, instead="as few as it takes"),
        Key("signed", "true or false", "Whether an int has a sign.", True, None, instead="where it is negative"),
        Key("withResponse", "true or false", "The next frame is the answer, and the result.", True, False),
        Key(
            "responsePattern",
            "regular expression",
            "Only a frame that matches it is the answer; others are telemetry, as always.",
            "^OK",
            None,
            instead="any frame",
        ),
        Key(
            "responseType", "as a data point's `type`", "What the answer's bytes are.", "string", instead="hexadecimal"
        ),
        Key("responseFromByte", "whole number", "As a data point's `fromByte`.", 2, None, instead="0"),
        Key("responseToByte", "whole number", "As a data point's `toByte`.", -1, None, instead="the end"),
        Key(
            "responseUntilDelimiter",
            "text",
            'As a data point\'s `untilDelimiter`, and the end of the answer. Where it has the end of a frame in it and says more, as `"OK\\r\\n"` where `\\n` ends a frame, the answer is all lines up to it; see *Answers of several lines* in [devices.md](devices.md#answers-of-several-lines).',
            "OK\r\n",
            None,
            instead="the end",
        ),
        Key("responseTimeoutSec", "number of s", "How long the answer may take.", 2, 5),
        *_spelling(
            "that is written, and of one in the answer",
            "What is written for true, the first one",
            "The same for false.",
        ),
        *REGISTERS,
        *ASKED_BY_CALLS,
    ),
)

UPDATE: Final = Section(
    "devices[].attributeUpdates[]",
    "Attribute updates, an entry of `attributeUpdates`",
    "What is written to the device when a shared attribute changes on the platform.",
    (
        Key(
            "attributeOnPlatform",
            "text",
            "The attribute.",
            "setpoint",
            instead="required",
            also="attributeOnThingsBoard",
        ),
        Key(
            "stringToDevice",
            "text",
            "What is written, with `${ATTRIBUTE}` (the attribute's name), `${deviceName}` and `${deviceType}` filled in.",
            "SET setpoint=${setpoint}\n",
            instead="required",
        ),
        *_spelling("that is written", "What is written for true, the first one", "The same for false."),
        Key("type", "text", "Of the value in a Modbus register; a coil has none.", "float32", instead="uint16"),
        *REGISTERS,
    ),
)

REPORT: Final = Section(
    "devices[].reportStrategy",
    "Report strategy, `reportStrategy`",
    "Which values are sent on. It may stand in the main file, in a connector, a device and a data point; the innermost counts. "
    "The first value of a key is always sent, and after a restart each key begins anew. For attributes it means the same.",
    (
        Key(
            "type",
            "`ON_RECEIVED`, `ON_CHANGE`, `ON_REPORT_PERIOD`, `ON_CHANGE_OR_REPORT_PERIOD` or `DISABLED`",
            "`ON_RECEIVED`: each value as it comes. `ON_CHANGE`: one that differs from the last that was sent. `ON_REPORT_PERIOD`: the "
            "last value, once a period. `ON_CHANGE_OR_REPORT_PERIOD`: both. `DISABLED`: as `ON_RECEIVED`; in the main file it switches "
            "off all others.",
            "ON_CHANGE",
            "ON_RECEIVED",
        ),
        Key("reportPeriod", "whole number of ms", "How long a period is, for the two that have one.", 60_000, 10_000),
        Key(
            "ttl",
            "whole number of s",
            "How long a value is remembered that does not change: then it counts as a first one. 0: for ever.",
            3600,
            86_400,
        ),
        Key("changeThreshold", "number", "By how much a number has to differ.", 0.5, None, instead="by anything"),
    ),
)

SECTIONS: Final = (
    MAIN,
    PLATFORM,
    SECURITY,
    PROVISIONING,
    FILTERING,
    ACTIVITY,
    STATISTICS,
    STORAGE,
    WEB,
    CONNECTORS,
    CONNECTOR,
    DEVICE,
    FRAMING,
    LENGTH,
    ESCAPE,
    CHECKSUM,
    POINT,
    MESSAGE,
    PLACED,
    RPC,
    UPDATE,
    REPORT,
)


class Variable(NamedTuple):
    """One environment variable."""

    name: str
    meaning: str
    example: str


VARIABLES: Final = (
    Variable("TB_GW_HOST", "`thingsboard.host`", "thingsboard.example.org"),
    Variable("TB_GW_PORT", "`thingsboard.port`", "8883"),
    Variable("TB_GW_SECURITY_TYPE", "`type` of `security`", "accessToken"),
    Variable("TB_GW_ACCESS_TOKEN", "`accessToken` of `security`", "A1_TEST_TOKEN"),
    Variable("TB_GW_USERNAME", "`username` of `security`", "gateway"),
    Variable("TB_GW_PASSWORD", "`password` of `security`", "hidden"),
    Variable("TB_GW_CLIENT_ID", "`clientId` of `security`", "gateway-1"),
    Variable("TB_GW_CA_CERT", "`caCert` of `security`", "/etc/serialgw/ca.pem"),
    Variable("TB_GW_PRIVATE_KEY", "`privateKey` of `security`", "/etc/serialgw/key.pem"),
    Variable("TB_GW_CERT", "`cert` of `security`", "/etc/serialgw/cert.pem"),
    Variable("TB_GW_ACCESS_TOKEN_FILE", "a file that holds the access token alone", "/run/secrets/token"),
    Variable("TB_GW_USERNAME_FILE", "a file that holds the user name alone", "/run/secrets/username"),
    Variable("TB_GW_PASSWORD_FILE", "a file that holds the password alone", "/run/secrets/password"),
    Variable("TB_GW_CLIENT_ID_FILE", "a file that holds the client id alone", "/run/secrets/client-id"),
    Variable(
        "TB_GW_PROVISIONING_DEVICE_KEY", "`provisionDeviceKey`; with the next one it goes before `security`", "A1_KEY"
    ),
    Variable("TB_GW_PROVISIONING_DEVICE_SECRET", "`provisionDeviceSecret` of `provisioning`", "hidden"),
    Variable("TB_GW_PROVISIONING_DEVICE_NAME", "`deviceName` of `provisioning`", "Gateway 7"),
    Variable("TB_GW_PROVISIONING_DEVICE_ACCESS_TOKEN", "`access_token` of `provisioning`", "A1_TEST_TOKEN"),
    Variable("TB_GW_PROVISIONING_DEVICE_USERNAME", "`username` of `provisioning`", "gw"),
    Variable("TB_GW_PROVISIONING_DEVICE_PASSWORD", "`password` of `provisioning`", "hidden"),
    Variable("TB_GW_PROVISIONING_DEVICE_CLIENT_ID", "`client_id` of `provisioning`", "gw-1"),
    Variable("TB_GW_PROVISIONING_DEVICE_CA_CERT_FILENAME", "`caCert` of `provisioning`", "/etc/serialgw/ca.pem"),
    Variable("TB_GW_PROVISIONING_DEVICE_KEY_FILE", "a file that holds the key alone", "/run/secrets/provision-key"),
    Variable("TB_GW_PROVISIONING_DEVICE_SECRET_FILE", "a file that holds the secret alone", "/run/secrets/provision"),
    Variable("TB_GW_PROVISIONING_DEVICE_ACCESS_TOKEN_FILE", "a file that holds the token alone", "/run/secrets/token"),
    Variable("TB_GW_PROVISIONING_DEVICE_USERNAME_FILE", "a file that holds the user name alone", "/run/secrets/user"),
    Variable(
        "TB_GW_PROVISIONING_DEVICE_PASSWORD_FILE", "a file that holds the password alone", "/run/secrets/password"
    ),
    Variable("TB_GW_PROVISIONING_DEVICE_CLIENT_ID_FILE", "a file that holds the client id alone", "/run/secrets/id"),
    Variable("SERIALGW_WEB", "`off`, or the address and the port of `web`", "127.0.0.1:8485"),
    Variable("SERIALGW_WEB_HOSTS", "further names for `web.hosts`, with commas between them", "monitor"),
    Variable(
        "SERIALGW_ALIVE_FILE",
        "the file that a process touches while it goes round, where `serialgw run` does not look after it; else "
        "`run/alive/KIND-NAME` in the data directory",
        "/tmp/alive",
    ),
    Variable("SERIALGW_LOG_FORMAT", "`text`, or `json` for log lines as JSON objects; of every process", "json"),
    Variable("SERIALGW_DATA_DIR", "the data directory, where `--data-dir` does not name one", "/srv/serialgw"),
    Variable(
        "TB_GW_RATE_LIMITS",
        "`rateLimits`, `messagesRateLimits`, `deviceRateLimits` and `deviceMessagesRateLimits` of `thingsboard`, but for "
        "those that a variable of their own names",
        "15:1",
    ),
    Variable("TB_GW_DP_RATE_LIMITS", "`dpRateLimits` and `deviceDpRateLimits`, as before", "15:1"),
    Variable("TB_GW_MESSAGES_RATE_LIMITS", "`thingsboard.messagesRateLimits`", "15:1"),
    Variable("TB_GW_DEVICE_MESSAGES_RATE_LIMIT", "`thingsboard.deviceMessagesRateLimits`", "15:1"),
    Variable("TB_GW_DEVICE_RATE_LIMITS", "`thingsboard.deviceRateLimits`", "15:1"),
    Variable("TB_GW_DEVICE_DP_RATE_LIMITS", "`thingsboard.deviceDpRateLimits`", "15:1"),
    Variable("TB_GW_PROXY_HOST", "known, and without effect: no proxy is used", "proxy.example.org"),
    Variable("TB_GW_PROXY_PORT", "known, and without effect", "3128"),
    Variable("TB_GW_CONFIG_DIR", "the folder of `tb_gateway.json`, for `serialgw run` without a file", "/etc/tb"),
    Variable("TB_GW_LOGS_PATH", "known, and without effect: the log goes to standard error", "/var/log/tb"),
)
