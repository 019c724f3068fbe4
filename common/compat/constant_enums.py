"""The enumerations of the other gateway's `constant_enums`."""

from __future__ import annotations

from enum import Enum

__all__ = ["DeviceActions", "DownlinkMessageType", "Status"]


class Status(Enum):
    """What became of data that a connector has handed over."""

    FAILURE = 1
    NOT_FOUND = 2
    SUCCESS = 3
    NO_NEW_DATA = 4
    FORBIDDEN_DEVICE = 5


class DeviceActions(Enum):
    """What is done with a device."""

    UNKNOWN = 0
    CONNECT = 1
    DISCONNECT = 2


class DownlinkMessageType(Enum):
    """Messages of its gRPC connectors; here for files that name them."""

    Response = 0
    ConnectorConfigurationMsg = 1
    GatewayAttributeUpdateNotificationMsg = 2
    GatewayAttributeResponseMsg = 3
    GatewayDeviceRpcRequestMsg = 4
    UnregisterConnectorMsg = 5
    ConnectorGetConnectedDevicesResponseMsg = 6
