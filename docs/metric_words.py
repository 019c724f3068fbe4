"""What docs/metrics.md says beside the table of metrics and the file of alerts: sections, and what to do."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.core.dead_kinds import DeadKind
from common.wire.call_ends import CallEnd


class Part(NamedTuple):
    """A section of the page: the metrics whose names begin so, the first section that fits."""

    title: str
    text: str
    beginnings: tuple[str, ...]


PARTS: Final = (
    Part(
        "The gateway",
        "Of the monitor itself, and of what the configuration names.",
        ("build_", "config_", "disk_", "web_", "monitor_"),
    ),
    Part("Processes", "One row for each process; `kind` and `name` are its address.", ("process_",)),
    Part(
        "The platform",
        "Of the publisher, which speaks with the platform.",
        (
            *("platform_", "readings_", "attribute", "publish", "rate_limit_", "devices_", "record_", "duplicates"),
            *("stale_", "out_of_order_", "bad_", "unpublishable_", "messages_", "retained_", "downlink_"),
            *("device_readings_", "device_names_", "stream_batches_", "values_"),
        ),
    ),
    Part("Calls", "RPCs and attribute updates, of the platform and of `serialgw rpc`.", ("calls", "call_")),
    Part("Converters", "By the converter's number.", ("converter_",)),
    Part("The broker", "What passes between the processes.", ("broker_",)),
    Part(
        "Hosted connectors",
        "Beside these they have those of a device that are about its stream: frames, journal, dead letters, delivery.",
        ("connector_",),
    ),
    Part("Devices", "Of the port reader, or of the hosted connector, whose name is the label `device`.", ("",)),
)
ADVICE: Final = {
    "device_state": "Each state is explained in [troubleshooting.md](troubleshooting.md#no-data-at-the-platform).",
    "device_served": "0: `serialgw status` says what is in the way.",
    "port_connected": "0: is the adapter there, and may the gateway open it? `serialgw status` has the reason.",
    "port_losses": "Rises again and again: a loose plug, a hub without power, an adapter that fails.",
    "line_errors": "`framing` and `parity`: a wrong rate, a bad cable, noise. `overrun`: the machine is too slow.",
    "line_gaps": "Rises: the machine was busy or suspended for longer than its driver keeps what comes.",
    "line_held": "1 for long: the platform takes less than the device says; ask the device less often.",
    "last_frame_timestamp_seconds": "`time() - …` is the device's silence in seconds.",
    "device_answers_too_long": "Rises: the device never says `responseUntilDelimiter`, or not as it stands there.",
    "frame_checksums_wrong": "All of them: another `checksum`; some: noise on the line.",
    "frames_shed": "Not 0: data was lost. Give the journal more room, or find out what keeps the platform.",
    "frames_dropped": "Not 0: data was lost, as the journal could not be written. Its disk is full, or fails.",
    "frames_damaged": "Not 0: the disk has lost what was written. Exchange it.",
    "frames_resent": "Rises while all is well: something between the processes takes too long.",
    "frames_unjournaled": "Rises: the journal can't be written; what comes is not safe until it can.",
    "dead_letters": "`serialgw dead-letters` shows them; [dead-letters.md](dead-letters.md) explains the reasons.",
    "dead_letters_kept": "After the cause is mended: `serialgw dead-letters --retry`.",
    "dead_letters_dropped": "Not 0: dead letters were lost, as the journal could not be written.",
    "journal_frames": "Rises for long: the platform takes less than comes.",
    "journal_oldest_timestamp_seconds": "`time() - … > 0` is how far the platform is behind.",
    "journal_limit_frames": "Reached: the oldest entries are dropped. `uplinkQueueSize` raises it.",
    "journal_limit_bytes": "As `journal_limit_frames`.",
    "journal_writable": "0: a full disk, a disk that fails, missing rights; the log says which.",
    "journal_errors": "As `journal_writable`.",
    "journal_damaged_blocks": "Not 0: the disk changes what was written. Exchange it.",
    "delivery_duration_seconds": "Large: look at `publish_duration_seconds` first, then at the converters' time.",
    "device_call_failures": "Rises: `serialgw rpc` shows what the device answers.",
    "device_asks_unanswered": "Rises: the device is off, has another address, or is asked too fast (`every`).",
    "device_turns_missed": "Rises: the line has no time for so many questions; a larger `every`.",
    "line_collisions": "Rises: another master talks on the same line.",
    "frame_suspicions": "Not 0: a converter died in such a frame. Its log has the traceback.",
    "platform_connected": "0: `serialgw status` says why, `serialgw check --connect` tries it once.",
    "platform_unaccepted_seconds": "Large while connected: the platform is overloaded, or refuses in silence.",
    "platform_reconnects": "Rises again and again: a network, or two gateways with one token.",
    "publishes_refused": "By `code`: 151 is a limit of the platform, 135 missing rights, 153 a bad payload.",
    "publish_duration_seconds": "Large: the platform or the way to it is slow.",
    "rate_limit_interval_seconds": 'Not 0: the platform has said "too many". Its limits, or fewer readings.',
    "values_kept_back": "What report strategies save.",
    "calls": "By `outcome`, explained below; [troubleshooting.md]"
    "(troubleshooting.md#a-device-that-is-called-does-not-answer) has the answers themselves.",
    "calls_refused": "Rises: too many calls at once.",
    "call_duration_seconds": "Mostly the device's own time.",
    "converter_errors": "Rises: `serialgw try` shows which data point fails on which frame.",
    "converter_user_errors": "Rises: users' code raises; the converter's log has the traceback.",
    "converter_hosts_died": "Rises: users' code ends its process; its log says how.",
    "converter_credit": "0 for long: the converter is the slowest part; start another one (`converters`).",
    "broker_queued_bytes": "Large for long: converters are too few, or too slow.",
    "broker_frames_dropped": "Nothing is lost: the reader sends them again. Rises for long: converters are too few.",
    "broker_registrations_refused": "Not 0: two processes of one name; the log says which.",
    "process_alive": "0: it does not run, or stands still; its log says why.",
    "process_start_time_seconds": "`changes(…[15m])` counts restarts.",
    "process_cpu_seconds": "Near 1 a second: the process has no time left.",
    "process_resident_memory_bytes": "Rises without end: tell us.",
    "process_junk_messages": "Not 0: something else speaks on our sockets, or two versions do.",
    "process_log_lines_dropped": "Not 0: whoever takes the log is too slow.",
    "config_last_reload_successful": "0: `serialgw check FILE` names each problem; what ran before runs on.",
    "config_pending": "1: `serialgw reload --dry-run` says what the edited files would change.",
    "config_history_dropped": "`serialgw config history` has the last 20.",
    "disk_free_bytes": "Little: journals can't be written.",
    "web_events_dropped": "Rises: much happens. The page shows the newest events; `serialgw logs` has more.",
    "web_updates_skipped": "Rises: a page, or the network to it, is slow. Nothing else is.",
}
"""Metric without prefix and `_total` → what to do about it, in a sentence."""
HEAD: Final = """\
# Metrics and alerts

<!-- Written by `make docs` from services/monitor/core/metrics, deploy/prometheus and docs/metric_words.py. -->

`http://127.0.0.1:8484/metrics` says how the gateway is, in the words of [Prometheus](https://prometheus.io); who
may ask from elsewhere stands in [security.md](security.md#over-http). Nothing has to be switched on.

1. Copy the job of [deploy/prometheus/prometheus.yml](../deploy/prometheus/prometheus.yml) into your Prometheus'
   configuration, and [serialgw.rules.yml](../deploy/prometheus/serialgw.rules.yml) beside it.
2. Import the three dashboards of [deploy/grafana](../deploy/grafana) into Grafana 10 or later, or put them into a
   folder that it reads at its start: *overview*, *device* and *processes*. They ask for their data source
   themselves.

All names begin with `serialgw_`. A *counter* only rises, from 0 at the start of its process: look at it with
`rate()` or `increase()`. A *gauge* is how something is now. A *histogram* has a counter for each bound:
`histogram_quantile(0.99, rate(…_bucket[5m]))` is what 99 of 100 stayed below. Values of devices are not among them
(the platform has those), nor are the names of calls: whoever chooses them could make up as many as they like. A
device has about 100 series.

A process says how it is once a second, one in which nothing happens each ten; so a figure is so old at most. What a
process has said last is shown until it is heard again; `serialgw_process_alive` says whether it still is.
"""
ALERTS_HEAD: Final = """\
## Alerts

Those with *page* are worth waking somebody: data is being lost, or soon will be. Those with *ticket* can wait for
the morning.
"""
REASONS: Final[dict[DeadKind, str]] = {
    "incomplete": "a frame had begun, and its end did not come: in time, or before the port was closed",
    "too_long": "no end came within `maxFrameBytes`: the delimiter is another, or the rate",
    "joined": "the first piece after the opening: it had begun before anybody listened",
    "missing_bytes": "the driver, or a machine that stood still, has lost some of the bytes around it",
    "no_frame": "bytes between frames that are none",
    "checksum": "a frame that was damaged on its way, or another `checksum` than the device's",
    "stray": "on a Modbus line, an answer that nobody had asked for",
    "conversion": "no value could be made of the frame",
    "users_code": "users' code has raised, or returned what is no reading",
    "killed_converters": "a converter has died in this frame three times",
    "refused": "the platform does not take it",
    "too_large": "it is larger than the platform, or the way to it, takes",
    "damaged": "the disk has lost it",
    "other": "anything else",
}
"""Value of the label `reason` → what it means."""
OUTCOMES: Final[dict[CallEnd, str]] = {
    "ok": "it was answered",
    "unknown_device": "no device of this name is configured",
    "not_connected": "its port is closed, or its process does not run",
    "unknown_method": "the device has no such method",
    "bad_params": "nothing that can be written could be made of its params",
    "write_failed": "the port did not take it",
    "no_answer": "the device has not answered in time",
    "expired": "its time was over before it could be written",
    "queue_full": "too many were open",
    "stopping": "the gateway was stopped",
    "other": "anything else: the device refused it, or users' code did",
}
"""Value of the label `outcome` → what it means."""
LABELS_HEAD: Final = """\
## Labels

`device`, `kind`, `name` and `converter` are names of the configuration; `code` is a reason code of MQTT. These have a
fixed set of values, and each is there from the start, at 0:
"""
