"""What a user's converter returned for a frame, as readings of the device that the frame came from, or of others."""

from __future__ import annotations

from common.config.models import Device
from common.conversion.results import readings_of
from common.wire.messages import UserReading


def normalise_result(result: object, device: Device) -> list[UserReading]:
    """One reading per device named in `result`; [] where it holds no value. A name or type that is missing is the
    device's own. Raises ConversionError for a shape or a value that can't be sent, saying which and where it stands."""
    return readings_of(result, device.name, device.type)
