"""Constants of the other gateway's `constants`: names of its wire format and of its files, and its defaults."""

from __future__ import annotations

from common.compat.strategies import ReportStrategy

__all__ = [
    "AGGREGATION_FUNCTION_PARAMETER",
    "ATTRIBUTES_FOR_REQUEST",
    "ATTRIBUTES_PARAMETER",
    "ATTRIBUTE_UPDATE_METHOD_PARAMETER",
    "ATTRIBUTE_UPDATE_PARAMS_PARAMETER",
    "CONFIG_DEVICES_SECTION_PARAMETER",
    "CONFIG_SECTION_PARAMETER",
    "CONFIG_SERVER_SECTION_PARAMETER",
    "CONFIG_VERSION_PARAMETER",
    "CONNECTED_DEVICES_FILENAME",
    "CONNECTOR_ID_PARAMETER",
    "CONNECTOR_NAME_PARAMETER",
    "CONNECTOR_PARAMETER",
    "CONVERTED_TS_PARAMETER",
    "CONVERTER_PARAMETER",
    "CUSTOM_RPC_DIR",
    "DATA_PARAMETER",
    "DATA_RETRIEVING_STARTED",
    "DEBUG_METADATA_TEMPLATE_SIZE",
    "DEFAULT_CONNECTORS",
    "DEFAULT_DEVICE_FILTER",
    "DEFAULT_REPORT_STRATEGY_CONFIG",
    "DEFAULT_STATISTIC",
    "DEVICE_NAME_PARAMETER",
    "DEVICE_SECTION_PARAMETER",
    "DEVICE_TYPE_PARAMETER",
    "DEV_MODE_PARAMETER_NAME",
    "DISCONNECTED_PARAMETER",
    "DOWNLINK_PREFIX",
    "METADATA_PARAMETER",
    "ON_ATTRIBUTE_UPDATE_DEFAULT_TIMEOUT",
    "PERSISTENT_GRPC_CONNECTORS_KEY_FILENAME",
    "PROVISIONED_CREDENTIALS_FILENAME",
    "RECEIVED_TS_PARAMETER",
    "RENAMING_PARAMETER",
    "REPORT_PERIOD_PARAMETER",
    "REPORT_STRATEGY_PARAMETER",
    "RPC_CONNECTOR_ARGUMENTS_PARAMETER",
    "RPC_DEFAULT_TIMEOUT",
    "RPC_ID_PARAMETER",
    "RPC_METHOD_PARAMETER",
    "RPC_PARAMS_PARAMETER",
    "RPC_VALUE_PARAMETER",
    "SECURITY_VAR",
    "SEND_TO_STORAGE_TS_PARAMETER",
    "STATISTIC_MESSAGE_RECEIVED_PARAMETER",
    "STATISTIC_MESSAGE_SENT_PARAMETER",
    "STRATEGIES_WITH_REPORT_PERIOD",
    "TB_GW_DEV_DEBUG_SERVER_PORT",
    "TELEMETRY_PARAMETER",
    "TELEMETRY_TIMESTAMP_PARAMETER",
    "TELEMETRY_VALUES_PARAMETER",
    "TIMESERIES_PARAMETER",
    "TTL_PARAMETER",
    "TYPE_PARAMETER",
    "UPLINK_PREFIX",
    "ReportStrategy",
]

DEV_MODE_PARAMETER_NAME = "TB_GW_DEV_MODE"
TB_GW_DEV_DEBUG_SERVER_PORT = 5678
STATISTIC_MESSAGE_RECEIVED_PARAMETER = "MessagesReceived"
STATISTIC_MESSAGE_SENT_PARAMETER = "MessagesSent"
CONNECTOR_PARAMETER = "connector"
CONVERTER_PARAMETER = "converter"
UPLINK_PREFIX = "uplink_"
DOWNLINK_PREFIX = "downlink_"
CONFIG_SECTION_PARAMETER = "config"
CONFIG_VERSION_PARAMETER = "configVersion"
CONFIG_SERVER_SECTION_PARAMETER = "server"
CONFIG_DEVICES_SECTION_PARAMETER = "devices"
CONNECTED_DEVICES_FILENAME = "connected_devices.json"
PERSISTENT_GRPC_CONNECTORS_KEY_FILENAME = "persistent_keys.json"
RENAMING_PARAMETER = "renaming"
DISCONNECTED_PARAMETER = "disconnected"
CONNECTOR_ID_PARAMETER = "connectorId"
CONNECTOR_NAME_PARAMETER = "connectorName"
SECURITY_VAR = ("type", "accessToken", "caCert", "privateKey", "cert", "clientId", "username", "password")
DEVICE_SECTION_PARAMETER = "device"
DEVICE_NAME_PARAMETER = "deviceName"
DEVICE_TYPE_PARAMETER = "deviceType"
ATTRIBUTES_PARAMETER = "attributes"
ON_ATTRIBUTE_UPDATE_DEFAULT_TIMEOUT = 5
TELEMETRY_PARAMETER = "telemetry"
TIMESERIES_PARAMETER = "timeseries"
TELEMETRY_TIMESTAMP_PARAMETER = "ts"
TELEMETRY_VALUES_PARAMETER = "values"
METADATA_PARAMETER = "metadata"
RECEIVED_TS_PARAMETER = "receivedTs"
CONVERTED_TS_PARAMETER = "convertedTs"
SEND_TO_STORAGE_TS_PARAMETER = "sendToStorageTs"
DATA_RETRIEVING_STARTED = "dataRetrieveStartedTs"
DEBUG_METADATA_TEMPLATE_SIZE = 84
"""Bytes of the metadata of a message there, but for a connector's name."""
REPORT_STRATEGY_PARAMETER = "reportStrategy"
REPORT_PERIOD_PARAMETER = "reportPeriod"
TYPE_PARAMETER = "type"
AGGREGATION_FUNCTION_PARAMETER = "aggregationFunction"
TTL_PARAMETER = "ttl"
DEFAULT_REPORT_STRATEGY_CONFIG = {"type": "ON_RECEIVED", "reportPeriod": 10_000, "ttl": 86_400}
STRATEGIES_WITH_REPORT_PERIOD = (ReportStrategy.ON_REPORT_PERIOD, ReportStrategy.ON_CHANGE_OR_REPORT_PERIOD)
RPC_ID_PARAMETER = "id"
RPC_METHOD_PARAMETER = "method"
RPC_PARAMS_PARAMETER = "params"
DATA_PARAMETER = "data"
RPC_DEFAULT_TIMEOUT = 5
RPC_CONNECTOR_ARGUMENTS_PARAMETER = "arguments"
RPC_VALUE_PARAMETER = "value"
ATTRIBUTE_UPDATE_METHOD_PARAMETER = "method"
ATTRIBUTE_UPDATE_PARAMS_PARAMETER = "params"
ATTRIBUTES_FOR_REQUEST = [
    "RemoteLoggingLevel",
    "general_configuration",
    "storage_configuration",
    "grpc_configuration",
    "logs_configuration",
    "active_connectors",
]
DEFAULT_CONNECTORS = {
    "mqtt": "MqttConnector",
    "modbus": "AsyncModbusConnector",
    "opcua": "OpcUaConnector",
    "ble": "BLEConnector",
    "request": "RequestConnector",
    "can": "CanConnector",
    "bacnet": "AsyncBACnetConnector",
    "odbc": "OdbcConnector",
    "rest": "RESTConnector",
    "snmp": "SNMPConnector",
    "ftp": "FTPConnector",
    "socket": "SocketConnector",
    "xmpp": "XMPPConnector",
    "ocpp": "OcppConnector",
    "knx": "KNXConnector",
    "s7": "S7Connector",
}
DEFAULT_STATISTIC = {"enable": True, "statsSendPeriodInSeconds": 60, "customStatsSendPeriodInSeconds": 3600}
DEFAULT_DEVICE_FILTER = {"enable": False}
CUSTOM_RPC_DIR = "/etc/thingsboard-gateway/rpc"
PROVISIONED_CREDENTIALS_FILENAME = ".credentials"
