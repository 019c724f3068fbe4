"""What `/metrics` shows, in one table: name, type, labels, unit and help of each, and where it comes from. Pure.

The names keep Prometheus' rules: the prefix `serialgw_`, base units in words, `_total` behind counters and behind
nothing else. Labels are few, and their values come from the configuration, never from a device or from the platform:
what others choose could make up as many as they like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.monitor.core.metrics import keeping
from services.monitor.core.metrics.metric import Metric


def _counters(labels: tuple[str, ...], names: Mapping[str, tuple[str, str]]) -> dict[str, Metric]:
    return {key: Metric(name, "counter", text, labels) for key, (name, text) in names.items()}


def _gauges(labels: tuple[str, ...], names: Mapping[str, tuple[str, str]]) -> dict[str, Metric]:
    return {key: Metric(name, "gauge", text, labels) for key, (name, text) in names.items()}


_DEVICE: Final = ("device",)
_STREAM: Final = _counters(
    _DEVICE,
    {
        "frames_read": ("frames_read", "Frames read from the device, answers to calls among them."),
        "frames_sent": ("frames_sent", "Entries sent for the first time to a publisher."),
        "frames_settled": ("frames_settled", "Entries that the platform has accepted."),
        "frames_resent": ("frames_resent", "Entries sent again to the same publisher."),
        "frames_revived": ("frames_revived", "Dead letters sent through again."),
        "frames_unjournaled": ("frames_unjournaled", "Entries sent on although the journal could not be written."),
        "frames_shed": ("frames_shed", "Entries lost under a limit of the journal, oldest first."),
        "frames_dropped": ("frames_dropped", "Frames lost because they fitted neither journal nor memory."),
        "frames_lost": ("frames_damaged", "Entries that damage has taken from the journal."),
        "dead_letters_dropped": ("dead_letters_dropped", "Dead letters that an unwritable journal could not keep."),
        "dead_letters_shed": ("dead_letters_shed", "Dead letters dropped under the journal's limit, oldest first."),
        "dead_letters_damaged": ("dead_letters_damaged", "Dead letters that damage has taken from the journal."),
        "timestamps_repeated": ("frame_timestamps_repeated", "Frames that share a millisecond with another."),
        "reports": ("reports", "Reports of the publisher on the device's stream."),
        "reports_stale": ("reports_stale", "Reports of another epoch or generation."),
        "batches_sent": ("batches_sent", "Frame batches sent to converters, resends included."),
        "sends_blocked": ("sends_blocked", "Batches that the socket did not take at once."),
        "journal_commits": ("journal_commits", "Appends to the journal."),
        "journal_errors": ("journal_errors", "Times that the journal could not be written."),
        "blocks_damaged": ("journal_damaged_blocks", "Blocks of the journal whose checksum was wrong."),
        "exchanges_failed": ("device_call_failures", "Calls to the device that ended in an error at its port."),
        "strikes": ("frame_suspicions", "Frames reported as having been in a converter when it died."),
        "wakeups": ("source_wakeups", "Times that the process of the device left its wait."),
    },
)
_KEPT: Final = _gauges(_DEVICE, {"dead_letters_kept": ("dead_letters_kept", "Dead letters kept for a retry.")})
PORT_READER: Final = {
    **_STREAM,
    **_KEPT,
    **_counters(
        _DEVICE,
        {
            "bytes_read": ("line_read_bytes", "Bytes read from the line."),
            "ports_opened": ("port_opens", "Times the port was opened."),
            "ports_lost": ("port_losses", "Times the port was lost."),
            "gaps": (
                "line_gaps",
                "Times that bytes of the line may be missing: nobody read it, or its driver lost some.",
            ),
            "checksums_wrong": ("frame_checksums_wrong", "Frames that were whole but for a wrong checksum."),
            "exchanges": ("device_calls", "Calls written to the device."),
            "patterns_timed_out": ("response_patterns_timed_out", "Calls whose pattern took too long on a frame."),
            "answers_too_long": (
                "device_answers_too_long",
                "Calls whose answer of several lines did not end within its bound.",
            ),
            "asks": ("device_asks", "Questions that the gateway asked devices by itself, probes and repeats included."),
            "asks_answered": ("device_asks_answered", "Of these, answered in time."),
            "asks_refused": ("device_asks_refused", "Of these, refused by the device."),
            "asks_unanswered": ("device_asks_unanswered", "Of these, without an answer in time."),
            "asks_late": ("device_asks_late", "Of these, answered after their time."),
            "asks_cut": ("device_asks_cut", "Probes of a unit that is gone, ended early by a call to another unit."),
            "asks_missed": ("device_turns_missed", "Turns that passed while the line was busy with others."),
            "answers_stray": ("device_answers_stray", "Answers on a Modbus line to nothing that was asked."),
            "replies_sent": ("device_replies", "Replies to frames that are in the journal."),
            "repeats_dropped": ("frame_repeats_dropped", "Frames that were the one before them once more."),
            "collisions": ("line_collisions", "Writes whose echo was another: somebody else wrote too."),
        },
    ),
}
LINE_ERRORS: Final = Metric(
    "line_errors", "counter", "Errors of the line as the port's driver counts them.", ("device", "type")
)
LINE_ERROR_TYPES: Final = {
    "framing_errors": "framing",
    "parity_errors": "parity",
    "overruns": "overrun",
    "breaks": "break",
}
"""Counter of a port reader → the value of the label `type`."""
CONNECTOR_HOST: Final = {
    **_STREAM,
    **_KEPT,
    **_counters(
        _DEVICE,
        {
            "submissions": ("connector_submissions", "Times that the connector has handed something over."),
            "submissions_failed": ("connector_submissions_failed", "Of these, answered FAILURE by the journal."),
            "calls_handled": ("connector_calls", "Calls to the connector's handlers."),
            "calls_unanswered": ("connector_calls_unanswered", "Calls that the connector did not answer in time."),
            "replies_unasked": ("connector_replies_unasked", "Replies of the connector to no open call."),
            "results_refused": ("connector_results_refused", "Results that could not be sent, answered FAILURE."),
        },
    ),
    **_gauges(
        _DEVICE,
        {
            "entries_waiting": ("connector_entries_waiting", "Entries that wait in memory for the journal."),
            "memory_bytes": ("connector_memory_bytes", "Memory of the connector's process."),
        },
    ),
}
PUBLISHER: Final = _counters(
    (),
    {
        "readings_received": ("readings_received", "Entries released in order to the publisher."),
        "readings_published": ("readings_published", "Telemetry items sent to the platform, repeats included."),
        "readings_accepted": ("readings_accepted", "Telemetry items accepted by the platform."),
        "readings_filtered": ("readings_filtered", "Entries of devices that the configuration leaves out."),
        "attributes_published": ("attributes_published", "Attributes sent to the platform, repeats included."),
        "attribute_updates": ("attribute_updates", "Attribute updates from the platform and from clients."),
        "publishes": ("publishes", "PUBLISH packets sent, repeats included."),
        "publishes_repeated": ("publishes_repeated", "PUBLISH packets given back by a connection that ended."),
        "bytes_published": ("published_bytes", "Bytes of published payloads."),
        "reconnects": ("platform_reconnects", "Connections to the platform after the first."),
        "record_closes": ("record_closes", "Connections closed at one record alone in flight."),
        "duplicates": ("duplicates", "Entries that had come before."),
        "stale_batches": ("stale_batches", "Batches of another epoch or a lower generation."),
        "out_of_order_dropped": ("out_of_order_dropped", "Entries that came too early to be kept."),
        "bad_batches": ("bad_batches", "Batches whose body could not be read."),
        "dead_letters": ("unpublishable_readings", "Entries that will never be published."),
        "rpc_calls": ("calls_begun", "Calls begun, from the platform and from clients."),
        "rpc_errors": ("call_errors", "Calls that ended with an error."),
        "calls_refused": ("calls_refused", "Calls answered at once, as too many were open."),
        "calls_repeated": ("calls_repeated", "Calls of the platform that came again after their end."),
        "replies_dropped": (
            "call_replies_dropped",
            "Replies that gave way to newer ones while the platform took none.",
        ),
        "messages_received": ("platform_messages", "Messages of the platform, old ones not included."),
        "packets_refused": (
            "platform_packets_refused",
            "Packets of the platform that are too large, or of another QoS.",
        ),
        "retained_ignored": ("retained_messages_ignored", "Messages that the MQTT broker had kept, which are old."),
        "downlink_junk": ("downlink_junk", "Messages of the platform that can't be understood."),
        "devices_forgotten": ("devices_forgotten", "Devices of users' converters dropped after long silence."),
        "devices_refused": ("device_readings_refused", "Readings of devices that no room was left for."),
        "names_forgotten": ("device_names_forgotten", "Devices named long ago that made room for others."),
        "names_not_kept": ("device_names_not_kept", "Readings of devices whose names found no room."),
        "streams_refused": ("stream_batches_refused", "Batches of streams that no room was left for."),
        "values_kept_back": ("values_kept_back", "Values that a report strategy did not send on as they came."),
        "values_not_remembered": ("values_not_remembered", "Values sent on without their strategy: too many keys."),
    },
)
_CONVERTER: Final = ("converter",)
CONVERTER: Final = _counters(
    _CONVERTER,
    {
        "batches_in": ("converter_batches", "Frame batches that came."),
        "frames_converted": ("converter_frames", "Frames converted, by what is built in and by users' code."),
        "frames_blank": ("converter_frames_blank", "Frames that say nothing."),
        "readings_made": ("converter_readings", "Readings made, with at least one value."),
        "conversion_errors": ("converter_errors", "Data points that failed on a frame."),
        "points_absent": ("converter_points_absent", "Data points that had no place in their frame."),
        "points_without_value": (
            "converter_points_invalid",
            "Data points of which the device says they have no value.",
        ),
        "frames_unfit": ("converter_frames_unfit", "Frames that no message of their device fits."),
        "times_refused": ("converter_times_refused", "Frames whose own time is unreadable, or too far from ours."),
        "dead_letters": ("converter_dead_letters", "Frames of which nothing can be made."),
        "user_errors": ("converter_user_errors", "Frames, answers and params for which users' code had no result."),
        "credit_returned_empty": ("converter_batches_returned", "Batches given back unconverted."),
        "sends_blocked": ("converter_sends_blocked", "Messages that a socket did not take at once."),
        "dropped_for_new_broker": ("converter_messages_dropped", "Messages that the broker before had known of."),
        "section_requests": ("converter_section_requests", "Device sections asked of their port readers."),
        "calls_in": ("converter_calls", "Steps of calls."),
        "calls_failed": ("converter_calls_failed", "Steps of calls that ended with an error."),
        "calls_expired": ("converter_calls_expired", "Steps of calls whose time was over."),
        "notes_reported": ("converter_deaths_reported", "Frames a process died in, told to their port readers."),
        "hosts_started": ("converter_hosts_started", "Processes started for users' code."),
        "hosts_ended": ("converter_hosts_ended", "Of these, ended from outside: too slow, or to make room."),
        "hosts_died": ("converter_hosts_died", "Of these, ended by themselves."),
    },
)
BROKER: Final = _counters(
    (),
    {
        "batches_in": ("broker_batches", "Frame batches from port readers."),
        "frames_in": ("broker_frames", "Frames in these."),
        "batches_out": ("broker_batches_assigned", "Frame batches handed to converters."),
        "frames_dropped": ("broker_frames_dropped", "Frames that found a full queue; their reader sends them again."),
        "batches_dropped": ("broker_batches_dropped", "Batches of these frames."),
        "frames_stale": ("broker_frames_stale", "Frames for a publisher that is gone; they are sent to the new one."),
        "batches_repeated": ("broker_batches_repeated", "Resends of a batch that is still queued."),
        "batches_blocked": ("broker_batches_blocked", "Batches that a converter's socket did not take at once."),
        "batches_taken_back": (
            "broker_batches_taken_back",
            "Batches not answered in time, given to another converter.",
        ),
        "credits_restored": ("broker_credits_restored", "Batches that a converter did not have any more."),
        "readings_in": ("broker_readings_received", "Reading batches from converters."),
        "readings_out": ("broker_readings", "Reading batches passed on to the publisher."),
        "readings_dropped": (
            "broker_readings_dropped",
            "Reading batches of a replaced converter, or without a publisher.",
        ),
        "requests": ("broker_requests", "Requests of the calls plane."),
        "requests_unroutable": ("broker_requests_unroutable", "Requests answered by the broker: nobody was there."),
        "replies": ("broker_replies", "Replies of the calls plane."),
        "replies_dropped": ("broker_replies_dropped", "Replies whose caller was gone."),
        "registrations": ("broker_registrations", "Processes that have registered."),
        "registrations_refused": (
            "broker_registrations_refused",
            "Registrations of a second process, or of another protocol.",
        ),
        "takeovers": ("broker_takeovers", "Processes that have taken an address over from another."),
    },
)
MONITOR: Final = _counters(
    (),
    {
        "requests": ("monitor_requests", "Requests for the state of everything."),
        "heartbeats": ("monitor_heartbeats", "Heartbeats heard from anyone."),
    },
)
_PROCESS: Final = ("kind", "name")
EVERY_PROCESS: Final = _counters(
    _PROCESS,
    {
        "junk_messages": ("process_junk_messages", "Messages that are none of ours."),
        "log_lines_dropped": ("process_log_lines_dropped", "Lines of the log that nobody took."),
        "log_lines_hidden": ("process_log_lines_hidden", "Lines of the log left out, as too many of their kind came."),
    },
)
FROM_COUNTERS: Final[Mapping[str, Mapping[str, Metric]]] = {
    "port_reader": PORT_READER,
    "connector_host": CONNECTOR_HOST,
    "publisher": PUBLISHER,
    "converter": CONVERTER,
    "broker": BROKER,
    "monitor": MONITOR,
}
"""Kind of process → counter of its heartbeat → what it is called here."""
SHOWN_BY_KIND: Final[Mapping[str, frozenset[str]]] = {
    "port_reader": frozenset({"dead_letters", *LINE_ERROR_TYPES}),
    "connector_host": frozenset({"dead_letters"}),
    "publisher": frozenset({"publishes_refused"}),
}
"""Kind of process → counters that are totals of what is shown with a label: shown themselves, they would count twice
in a sum."""

STATE: Final = Metric("device_state", "gauge", "1 for the state that the device is in.", ("device", "state"))
SERVED: Final = Metric("device_served", "gauge", "1 while what the device says reaches the platform.", _DEVICE)
INFO: Final = Metric("device_info", "gauge", "Always 1; which port or connector the device is at.", ("device", "port"))
CONNECTED: Final = Metric("port_connected", "gauge", "1 while the port is open.", _DEVICE)
HELD: Final = Metric("line_held", "gauge", "1 while reading is slowed, because the platform is slower.", _DEVICE)
LAST_FRAME: Final = Metric(
    "last_frame_timestamp_seconds", "gauge", "Wall time of the device's last frame, 0 for none.", _DEVICE
)
FRAMES_WAITING: Final = Metric("journal_frames", "gauge", "Entries that wait in the journal for acceptance.", _DEVICE)
BYTES_WAITING: Final = Metric("journal_bytes", "gauge", "Bytes of these.", _DEVICE)
WRITABLE: Final = Metric("journal_writable", "gauge", "1 while the journal can be written.", _DEVICE)
IN_FLIGHT: Final = Metric("frames_in_flight", "gauge", "Entries sent, and not accepted yet.", _DEVICE)
PLATFORM_CONNECTED: Final = Metric("platform_connected", "gauge", "1 while the platform is connected.")
PLATFORM_INFO: Final = Metric(
    "platform_info",
    "gauge",
    "Always 1; where the platform is, and the MQTT version that is spoken.",
    ("host", "protocol"),
)
READINGS_WAITING: Final = Metric("readings_waiting", "gauge", "Entries that wait in the publisher for the platform.")
PUBLISHES_IN_FLIGHT: Final = Metric("publishes_in_flight", "gauge", "PUBLISH packets without their PUBACK yet.")
ANNOUNCED: Final = Metric("devices_announced", "gauge", "Devices that the platform knows as connected.")
UNACCEPTED: Final = Metric(
    "platform_unaccepted_seconds", "gauge", "How long something has waited while the platform accepted nothing."
)
HELD_BATCHES: Final = Metric("converter_batches_held", "gauge", "Batches that the converter has.", _CONVERTER)
CREDIT: Final = Metric("converter_credit", "gauge", "Batches that the broker may still hand it.", _CONVERTER)
QUEUED_BYTES: Final = Metric("broker_queued_bytes", "gauge", "Bytes of frames that wait in the broker.")
QUEUED_DEVICES: Final = Metric("broker_queued_devices", "gauge", "Devices with frames that wait in the broker.")
HELD_CALLS: Final = Metric("broker_held_calls", "gauge", "Calls that wait for who shall answer them.")
ALIVE: Final = Metric("process_alive", "gauge", "1 while the process is alive, 0 when it is late or lost.", _PROCESS)
START_TIME: Final = Metric(
    "process_start_time_seconds", "gauge", "Wall time at which the process was started.", _PROCESS
)
BUILD: Final = Metric("build_info", "gauge", "Always 1; the versions of serialgw and of Python.", ("version", "python"))
DEVICES: Final = Metric("config_devices", "gauge", "Devices and connectors that the configuration names.")
CONFIG_TAKEN: Final = Metric(
    "config_last_reload_successful", "gauge", "1 if the files could be used when they were read last."
)
CONFIG_TAKEN_TIME: Final = Metric(
    "config_last_reload_success_timestamp_seconds", "gauge", "Wall time at which the files were taken last."
)
CONFIG_PENDING: Final = Metric("config_pending", "gauge", "1 while the files are others than those that were taken.")
CONFIG_CHANGES: Final = Metric("config_changes", "counter", "Times that other files were taken than before.")
CONFIG_FORGOTTEN: Final = Metric(
    "config_history_dropped", "counter", "Configurations that were applied and are kept no more, as newer ones came."
)
DISK_FREE: Final = Metric("disk_free_bytes", "gauge", "Room on the disk of the data directory.")
STREAMS: Final = Metric("web_streams", "gauge", "Pages that listen now.")
SKIPPED: Final = Metric("web_updates_skipped", "counter", "Updates that a page was too slow for; it had the next one.")
EVENTS_DROPPED: Final = Metric(
    "web_events_dropped", "counter", "Events that the monitor no longer keeps; newer ones came."
)

ALL: Final[tuple[Metric, ...]] = (
    *dict.fromkeys(metric for named in FROM_COUNTERS.values() for metric in named.values()),
    *EVERY_PROCESS.values(),
    *keeping.ALL,
    *(
        LINE_ERRORS,
        STATE,
        SERVED,
        INFO,
        CONNECTED,
        HELD,
        LAST_FRAME,
        FRAMES_WAITING,
        BYTES_WAITING,
        WRITABLE,
        IN_FLIGHT,
    ),
    *(PLATFORM_CONNECTED, PLATFORM_INFO, READINGS_WAITING, PUBLISHES_IN_FLIGHT, ANNOUNCED, UNACCEPTED, HELD_BATCHES),
    *(CREDIT, QUEUED_BYTES, QUEUED_DEVICES, HELD_CALLS, ALIVE, START_TIME, BUILD, DEVICES, DISK_FREE, STREAMS, SKIPPED),
    *(CONFIG_TAKEN, CONFIG_TAKEN_TIME, CONFIG_PENDING, CONFIG_CHANGES, CONFIG_FORGOTTEN, EVENTS_DROPPED),
)
"""Every metric, in the order of the exposition."""
