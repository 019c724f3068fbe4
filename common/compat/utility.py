"""`TBUtility`: what users' files call of it; nothing here installs, writes or connects."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from common.compat.loggers import log_of
from common.compat.strategies import ReportStrategyConfig
from common.converters import ConvertedData, DatapointKey, size_of

__all__ = ["TBUtility", "log"]

log = log_of("service")
_STEP: Final = re.compile(r"""\[(\d+|\*|'[^']*'|"[^"]*")\]|([^.\[\]]+)""")
"""One step of a path such as `a.b[0].c`."""
_EXPRESSION: Final = re.compile(r"\$\{[${A-Za-z0-9. ^\]\[*_:\"-]*\}")
"""A placeholder, in `get_values`."""
_WORDS: Final = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}


class TBUtility:
    """Functions that files of the other gateway call."""

    @staticmethod
    def install_package(package: str, version: str = "upgrade", force_install: bool = False) -> bool:
        """True where the package is there, in that version if one is said. Raises ImportError with the command to type
        where it is not: serialgw never installs anything."""
        there = TBUtility.get_package_version(package)
        exact = version.lstrip("=<>~! ")
        if there is None or (version.lower() != "upgrade" and not _fits(there, version)):
            wanted = package if version.lower() == "upgrade" else f"{package}{'>=' if '>' in version else '=='}{exact}"
            found = "is not installed for this Python" if there is None else f"is installed as {there}, not {version}"
            quoted = f"'{wanted}'" if ">" in wanted else wanted
            command = f"{sys.executable} -m pip install {quoted}"
            raise ImportError(f"{package} {found}, and serialgw installs nothing; to install it: {command}")
        return True

    @staticmethod
    def check_and_import(module: str, package: str, version: str = "upgrade") -> bool:
        """As `install_package`, unless the module can be imported: then True."""
        import importlib

        try:
            importlib.import_module(module)
        except ImportError:
            return TBUtility.install_package(package, version)
        return True

    @staticmethod
    def get_package_version(package: str) -> str | None:
        """The version of an installed package; None for none."""
        from importlib.metadata import PackageNotFoundError, version  # Here: it takes long to load.

        try:
            return version(package)
        except (PackageNotFoundError, ValueError):
            return None

    @staticmethod
    def convert_key_to_datapoint_key(
        key: str, device_report_strategy: Any, key_config: Mapping[str, Any], logger: Any = None
    ) -> DatapointKey:
        """The key with its own report strategy, or the device's where it has none, or one that does not exist."""
        strategy = device_report_strategy
        said = key_config.get("reportStrategy")
        if said is not None:
            try:
                strategy = ReportStrategyConfig(said)
            except ValueError as error:
                if logger is not None:
                    logger.trace("report strategy of key %s: %s", key, error)
        return DatapointKey(key, strategy)

    @staticmethod
    def decode(message: Any, return_raw: bool = False) -> Any:
        """What a message, or its `payload`, says: JSON, else text, else its bytes."""
        payload = getattr(message, "payload", message)
        if return_raw or not isinstance(payload, bytes | str):
            return payload
        try:
            return json.loads(payload if isinstance(payload, str) else payload.decode("utf-8", "ignore"))
        except ValueError:
            pass
        try:
            return payload if isinstance(payload, str) else payload.decode()
        except UnicodeDecodeError:
            return payload

    @staticmethod
    def validate_converted_data(data: Any) -> bool:
        """Whether a result names a device and says something of it; if not, a line in the log says what it lacks."""
        said = data.to_dict() if isinstance(data, ConvertedData) else data
        errors = []
        if not isinstance(said, Mapping) or not said.get("deviceName"):
            errors.append("deviceName is empty")
        if not isinstance(said, Mapping) or not any(
            said.get(part) for part in ("telemetry", "timeseries", "attributes")
        ):
            errors.append("No telemetry and attributes")
        if errors:
            log.error("Found errors: %s in data: %s", errors, data)
        return not errors

    @staticmethod
    def get_value(
        expression: str,
        body: Any = None,
        value_type: str = "string",
        get_tag: bool = False,
        expression_instead_none: bool = False,
    ) -> Any:
        """What `${a.b[0]}` in the expression stands for in the body, put into the text around it where `value_type` is
        "string"; None, or the expression, where nothing stands there."""
        if isinstance(body, str):
            body = json.loads(body)
        if not expression:
            return ""
        placed = re.search(r"\$\{(.*)\}", expression)
        start, end = placed.span(1) if placed else (0, len(expression))
        tag = expression[start:end]
        if get_tag:
            return tag
        value = None
        first = tag.split()[0] if tag.split() else tag
        if isinstance(body, Mapping) and first in body:
            value = body[first]
            if value_type.lower() == "string":
                value = f"{expression[: max(start - 2, 0)]}{value}{expression[end + 1 :]}"
        elif isinstance(body, Mapping | list):
            value = _follow(tag, body)
        elif isinstance(body, bytes):
            found = re.search(expression.encode(), body)
            value = found.group(0) if found and found.groups() else None
        return expression if value is None and expression_instead_none else value

    @staticmethod
    def get_values(
        expression: str,
        body: Any = None,
        value_type: str = "string",
        get_tag: bool = False,
        expression_instead_none: bool = False,
    ) -> list[Any]:
        """`get_value` of each placeholder; an expression without any stands for itself."""
        found = _EXPRESSION.findall(expression)
        values = [TBUtility.get_value(one, body, value_type, get_tag, expression_instead_none) for one in found]
        return values if "${" in expression else [*values, expression]

    @staticmethod
    def replace_params_tags(text: str, data: Mapping[str, Any]) -> str:
        """The text, parted by slashes, with what its placeholders stand for in `data["data"]`."""
        for item in text.split("/") if "${" in text else ():
            if "${" in item:
                tag = "${" + TBUtility.get_value(item, data["data"], "params", get_tag=True) + "}"
                value = TBUtility.get_value(item, data["data"], "params", expression_instead_none=True)
                text = text.replace(tag, str(value))
        return text

    @staticmethod
    def get_dict_key_by_value(dictionary: Mapping[Any, Any], value: Any) -> Any:
        """The first key that has this value; None for none."""
        return next((key for key, found in dictionary.items() if found == value), None)

    @staticmethod
    def str_to_bool(val: Any) -> bool:
        """True or false for the usual words, in any case, and for 1 and 0. Raises ValueError for anything else."""
        word = str(val).strip().lower()
        if word not in _WORDS:
            raise ValueError(f"Invalid truth value: {val!r}")
        return _WORDS[word]

    @staticmethod
    def convert_data_type(data: Any, new_type: str, use_eval: bool = False) -> Any:
        """The value as int, float, bool or text; as text where it can't be what is asked for. Nothing is evaluated but
        a literal."""
        new_type = new_type.lower()
        if type(data).__name__ in new_type:
            return data
        if use_eval and isinstance(data, str):
            import ast

            data = ast.literal_eval(data)
        try:
            if "int" in new_type or "long" in new_type:
                return int(float(data))
            if new_type in ("float", "double"):
                return float(data)
            if "bool" in new_type:
                return TBUtility.str_to_bool(data)
        except ValueError:
            pass
        return str(data)

    @staticmethod
    def topic_to_regex(topic: str) -> str:
        """A topic filter of MQTT as a regular expression."""
        return re.escape(topic).replace(r"\+", "[^/]+").replace(r"\#", ".+")

    @staticmethod
    def regex_to_topic(regex: str) -> str:
        """The reverse of `topic_to_regex`, but for escapes."""
        return regex.replace("[^/]+", "+").replace(".+", "#")

    @staticmethod
    def get_data_size(data: Any) -> int:
        """Bytes of the data as JSON."""
        return size_of(data)

    @staticmethod
    def find_ts_field_value(ts_field_name: str, data: Mapping[str, Any]) -> Any:
        """The value of the first field of this name in the data or in an object inside it; None for none."""
        if data.get(ts_field_name) is not None:
            return data[ts_field_name]
        inner = (value for value in data.values() if isinstance(value, Mapping))
        found = (TBUtility.find_ts_field_value(ts_field_name, value) for value in inner)
        return next((value for value in found if value is not None), None)

    @staticmethod
    def resolve_different_ts_formats(
        data: Any, config: Mapping[str, Any], logger: Any = None, default_ts: bool = True
    ) -> Any:
        """Milliseconds since 1970 of the field that `tsField` names, a date or a number; else what stands under `ts` or
        `timestamp`, unless `default_ts` is false; None for nothing."""
        expression = config.get("tsField")
        if expression is not None and isinstance(data, Mapping):
            name = TBUtility.get_value(expression, data, get_tag=True).split(".")[-1]
            found = TBUtility.find_ts_field_value(name, data)
            try:
                if found is not None:
                    return int(found) if not isinstance(found, str) or found.isdecimal() else _ms_of(found, config)
            except (TypeError, ValueError) as error:
                if logger is not None:
                    logger.debug("time %r of field %s: %s", found, name, error)
        first = data[0] if isinstance(data, list) and data else data
        if not default_ts or not isinstance(first, Mapping):
            return None
        return first.get("ts", first.get("timestamp"))

    @staticmethod
    def while_thread_alive(thread: Any, timeout: float = 10) -> bool:
        """Waits for a thread to end; True if it has not after so many seconds."""
        thread.join(timeout)
        return bool(thread.is_alive())

    @staticmethod
    def get_or_create_connector_id(connector_conf: Any) -> str:
        """The id that a configuration says, or a new one."""
        from uuid import uuid4

        said = connector_conf.get("id") if isinstance(connector_conf, Mapping) else None
        return str(uuid4()) if said is None else said

    @staticmethod
    def kebab_case_to_camel_case(snake_str: str) -> str:
        """`report-period` as `reportPeriod`."""
        first, *others = snake_str.split("-")
        return first + "".join(other.title() for other in others)

    @staticmethod
    def generate_certificate(*_: Any, **_unused: Any) -> Any:
        """Refused."""
        raise RuntimeError("serialgw makes no certificates: make one with openssl")

    @staticmethod
    def check_certificate(*_: Any, **_unused: Any) -> Any:
        """Refused."""
        raise RuntimeError("serialgw makes no certificates, and looks at none for others: use openssl x509 -enddate")


def _fits(there: str, version: str) -> bool:
    """Whether an installed version is the one that is asked for, or a later one where that is enough."""
    have, want = ([int(part) for part in re.findall(r"\d+", text)] for text in (there, version))
    length = max(len(have), len(want))
    have, want = ([*parts, *[0] * (length - len(parts))] for parts in (have, want))
    return have >= want if ">" in version else have == want


def _follow(path: str, body: Any) -> Any:
    """What stands at a path such as `a.b[0]["c"]` in the body; None for nothing. `[*]` takes the first there is."""
    for index, name in _STEP.findall(path.removeprefix("$")):
        step = index.strip("'\"") or name
        try:
            if isinstance(body, list):
                body = body[0 if step == "*" else int(step)]
            elif step == "*":
                body = next(iter(body.values()))
            else:
                body = body[step]
        except (KeyError, IndexError, ValueError, TypeError, AttributeError, StopIteration):
            return None
    return body


def _ms_of(text: str, config: Mapping[str, Any]) -> int:
    """Milliseconds of a date as ISO 8601 writes it, day or year first as the configuration says. Raises ValueError."""
    with suppress(ValueError):
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    order = ("%Y", "%m", "%d") if config.get("yearfirst") else ("%m", "%d", "%Y")
    order = ("%d", "%m", "%Y") if config.get("dayfirst") else order
    for separator in "-/.":
        for clock in (" %H:%M:%S.%f", " %H:%M:%S", " %H:%M", ""):
            with suppress(ValueError):
                return int(datetime.strptime(text, separator.join(order) + clock).timestamp() * 1000)
    raise ValueError("expected milliseconds since 1970, or a date such as 2026-11-29T21:40:04+01:00")
