"""The publisher's counters, as its heartbeat carries them: name and unit of each."""

from __future__ import annotations

from typing import Final

COUNTERS: Final = {
    "readings_received": "numbers released in order",
    "readings_published": "telemetry items sent, repeats included",
    "readings_accepted": "telemetry items accepted by the platform",
    "duplicates": "numbers that had come before",
    "stale_batches": "batches of another epoch or a lower generation",
    "out_of_order_dropped": "numbers that came too early to be kept",
    "bad_batches": "batches whose body could not be read",
    "publishes": "PUBLISH packets",
    "publishes_refused": "PUBACKs with a reason code of 128 or more",
    "publishes_repeated": "publishes given back by a connection that ended",
    "record_closes": "closes of the connection at one record alone in flight",
    "bytes_published": "payload bytes",
    "reconnects": "connections established after the first",
    "rpc_calls": "calls begun, from the platform and from clients",
    "rpc_errors": "calls that ended with an error",
    "attribute_updates": "attribute updates from the platform and from clients",
    "packets_refused": "packets from the platform that were too large to be read",
    "retained_ignored": "messages that the MQTT broker had kept, which are old",
    "calls_refused": "calls that were answered at once, as too many were open",
    "replies_dropped": "replies that gave way to newer ones while the platform took none",
    "devices_forgotten": "devices named by users' converters that were dropped after long silence, as too many were",
    "devices_refused": "readings of devices that no room was left for",
    "streams_refused": "batches of streams that no room was left for",
    "downlink_junk": "messages from the platform that can't be understood",
    "dead_letters": "numbers that will never be published",
}

Counters = dict[str, int]


def new_counters() -> Counters:
    """All counters at 0."""
    return dict.fromkeys(COUNTERS, 0)
