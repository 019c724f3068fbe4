"""How full a message of data may be: what the configuration, the connection and the platform say. Pure."""

from __future__ import annotations

from typing import Final

from common.config.models import PAYLOAD_GUESS_BYTES
from common.config.models import Platform as PlatformConfig
from services.publisher.core.dialects import Shape
from services.publisher.core.outbox.packing import Packing

PACKET_OVERHEAD_BYTES: Final = 64
"""Topic and header of a PUBLISH, which count into the other side's maximum packet size."""
MQTT_PACKET_BYTES: Final = 268_435_455
"""What MQTT itself allows."""


class PayloadLimits:
    """The smallest of all limits, as `packing`; each new connection begins with the configuration's again.

    `config` says how many bytes and readings a message has at most; `shape` how much one holds in this dialect.
    """

    def __init__(self, config: PlatformConfig, shape: Shape) -> None:
        self._config = config
        self._shape = shape
        self._packet_bytes = MQTT_PACKET_BYTES
        self.packing = self._configured()

    def _configured(self) -> Packing:
        """The limits before the connection or the platform has named any."""
        config, shape = self._config, self._shape
        # The configuration knows one number for both; attributes of a device share a message in any dialect.
        most = config.min_pack_size_to_send
        return Packing(
            config.max_payload_size_bytes,
            most if shape.most_readings is None else min(most, shape.most_readings),
            most,
            shape.most_devices,
            config.publisher_company_s,
        )

    def begin(self, maximum_packet_bytes: int) -> None:
        """A connection stands, on which the other side takes packets of so many bytes; 0 if it has said nothing."""
        self.packing = self._configured()
        self._packet_bytes = (maximum_packet_bytes or MQTT_PACKET_BYTES) - PACKET_OVERHEAD_BYTES
        self._lower(self._packet_bytes)

    def hear(self, limit_bytes: int) -> None:
        """The platform's own word. It counts also above our limit where that is only the reference's guess; the number
        of readings that goes with it grows in proportion."""
        if self._config.max_payload_size_bytes != PAYLOAD_GUESS_BYTES:
            self._lower(limit_bytes)
            return
        limit_bytes = min(limit_bytes, self._packet_bytes)
        most = self._config.min_pack_size_to_send * max(1, limit_bytes // PAYLOAD_GUESS_BYTES)
        self.packing = self.packing._replace(
            limit_bytes=limit_bytes,
            most_readings=most if self._shape.most_readings is None else min(most, self._shape.most_readings),
            most_attributes=most,
        )

    def _lower(self, limit_bytes: int) -> None:
        self.packing = self.packing._replace(limit_bytes=min(self.packing.limit_bytes, limit_bytes))
