"""What the publisher counts."""

from __future__ import annotations

from typing import Annotated, TypedDict

from common.core.counters import Counter


class PublisherCounts(TypedDict):
    """Totals since its start; the heartbeat carries them."""

    readings_received: Annotated[int, Counter("readings", "numbers released in order")]
    readings_published: Annotated[int, Counter("items", "telemetry items sent, repeats included")]
    readings_accepted: Annotated[int, Counter("items", "telemetry items accepted by the platform")]
    duplicates: Annotated[int, Counter("readings", "numbers that had come before")]
    stale_batches: Annotated[int, Counter("batches", "of another epoch or a lower generation")]
    out_of_order_dropped: Annotated[int, Counter("readings", "numbers that came too early to be kept")]
    bad_batches: Annotated[int, Counter("batches", "whose body could not be read")]
    publishes: Annotated[int, Counter("packets", "PUBLISH, repeats included")]
    publishes_refused: Annotated[int, Counter("packets", "PUBACKs with a reason code of 128 or more")]
    publishes_repeated: Annotated[int, Counter("packets", "given back by a connection that ended")]
    record_closes: Annotated[int, Counter("connections", "closed at one record alone in flight")]
    bytes_published: Annotated[int, Counter("bytes", "of payloads")]
    reconnects: Annotated[int, Counter("connections", "after the first")]
    rpc_calls: Annotated[int, Counter("calls", "begun, from the platform and from clients")]
    rpc_errors: Annotated[int, Counter("calls", "that ended with an error")]
    attribute_updates: Annotated[int, Counter("calls", "from the platform and from clients")]
    packets_refused: Annotated[int, Counter("packets", "from the platform: too large, or of a QoS nobody asked for")]
    retained_ignored: Annotated[int, Counter("messages", "that the MQTT broker had kept, which are old")]
    calls_refused: Annotated[int, Counter("calls", "answered at once, as too many were open")]
    replies_dropped: Annotated[int, Counter("replies", "that gave way to newer ones while the platform took none")]
    devices_forgotten: Annotated[int, Counter("devices", "of users' converters, dropped after long silence: too many")]
    devices_refused: Annotated[int, Counter("readings", "of devices that no room was left for")]
    names_forgotten: Annotated[int, Counter("devices", "named long ago, which made room in publisher.names")]
    names_not_kept: Annotated[int, Counter("readings", "of devices whose names found no room in publisher.names")]
    streams_refused: Annotated[int, Counter("batches", "of streams that no room was left for")]
    values_kept_back: Annotated[int, Counter("values", "that a report strategy did not send on as they came")]
    values_not_remembered: Annotated[int, Counter("values", "sent on without their strategy: too many keys")]
    downlink_junk: Annotated[int, Counter("messages", "from the platform that can't be understood")]
    dead_letters: Annotated[int, Counter("readings", "numbers that will never be published")]
    readings_filtered: Annotated[int, Counter("readings", "of devices that deviceFiltering leaves out, not sent")]
    attributes_published: Annotated[int, Counter("attributes", "sent, repeats included")]
    messages_received: Annotated[int, Counter("messages", "of the platform, old ones not included")]
    calls_repeated: Annotated[int, Counter("calls", "of the platform that came again after their end")]
