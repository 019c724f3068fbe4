"""An open line: a serial port or a TCP connection to one; nothing waits. The only importer of serial."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import termios
from typing import Final
from urllib.parse import urlsplit

import serial

from common.config.models import Line, Rs485
from common.core.errors import LinkError
from services.port_reader.core.events import NO_ERRORS, LineErrors
from services.port_reader.core.line_errors import COUNTS_BYTES, read_counts

READ_BYTES: Final = 4096
_TIOCGICOUNT: Final = 0x545D
SOCKET_SCHEME: Final = "socket://"
LISTEN_SCHEME: Final = "tcp-listen://"
RFC2217_SCHEME: Final = "rfc2217://"
USB_SCHEME: Final = "usb://"
APPLIED: Final = ("baudrate", "bytesize", "parity", "stopbits", "xonxoff", "rtscts")
"""What is changed on an open port."""
IN_USE: Final = "in use by another process"


class _KeepingSerial(serial.Serial):
    """pyserial's port, without throwing away at opening what the kernel had received."""

    def _reset_input_buffer(self) -> None:
        pass


class SerialLine:
    """One open line; every method returns at once. LinkError means that it is lost.

    A write is taken whole (`begin_write`) and goes out as the kernel takes it (`write_more`). A serial port keeps what
    it was given for as long as the line takes for it; only the kernel's count of what is left says when it is out.
    """

    is_remote = False
    """True where a server has the port, and may refuse what is asked of it."""

    def __init__(self, fd: int, port: serial.Serial | None, connection: socket.socket | None) -> None:
        self.fd = fd
        self.is_connecting = connection is not None
        self.is_writing = False
        self._port = port
        self._connection = connection
        self._unwritten = b""
        self._counts = self._driver_counts() if port is not None else None
        self.errors = NO_ERRORS
        """What the driver has counted, until it is taken."""
        self._refused: list[str] = []

    def has_overrun(self) -> bool:
        """True if the driver has lost bytes since this was asked last. Always False where it does not count them, as
        pseudo-terminals and many adapters don't. A count that falls is a new adapter's, and no loss. What else it has
        counted is kept for `take_errors`."""
        before = self._counts
        if before is None:
            return False
        self._counts = now = self._driver_counts()
        if now is None or now == before:
            return False
        self.errors = LineErrors(*map(sum, zip(self.errors, now.since(before), strict=True)))
        return now.overruns > before.overruns

    def take_errors(self) -> LineErrors:
        """What the driver has counted since this was called last, as far as `has_overrun` has asked it."""
        found, self.errors = self.errors, NO_ERRORS
        return found

    def _driver_counts(self) -> LineErrors | None:
        """The driver's own totals; None where it does not count."""
        try:
            return read_counts(fcntl.ioctl(self.fd, _TIOCGICOUNT, bytes(COUNTS_BYTES)))
        except OSError:
            return None

    @property
    def is_ready(self) -> bool:
        """True once the port's settings are applied: at once, but where a server has to be asked for it."""
        return True

    def negotiate(self) -> None:
        """Goes on with getting ready; to be called when something has come. Raises LinkError if that can't be."""

    def look_for_answer(self) -> None:
        """Looks whether something has come that shows that the write is out; to be called before the line is read."""

    def take_refused(self) -> list[str]:
        """Settings that whoever has the port has refused, in words, since this was called last."""
        refused, self._refused = self._refused, []
        return refused

    def set_direction(self, settings: Rs485) -> None:
        """Has the driver switch the direction of an RS-485 line. One that can't is a refused setting and no fault: many
        adapters switch by themselves, and who has one has nothing to lose by this."""
        # Here: hardly any port needs it, and a port reader keeps what it has loaded.
        from services.port_reader.core.rs485 import GET, SET, SIZE_BYTES, packed, refused

        try:
            wanted = packed(settings, fcntl.ioctl(self.fd, GET, bytes(SIZE_BYTES)))
            fcntl.ioctl(self.fd, SET, wanted)
            self._refused += refused(wanted, fcntl.ioctl(self.fd, GET, bytes(SIZE_BYTES)))
        except OSError as error:
            self._refused.append(
                f"rs485 ({os.strerror(error.errno or 0)}: the driver of this port can't switch the line's direction; "
                'an adapter that does it by itself needs no "rs485")'
            )

    @property
    def is_serial(self) -> bool:
        """True for a port; False for a TCP connection, which loses nothing while nobody reads it."""
        return self._port is not None

    def finish_connecting(self) -> None:
        """The connection that was begun is there. Raises LinkError if it failed."""
        self.is_connecting = False
        if self._connection is None:
            return
        if code := self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise LinkError(os.strerror(code))

    def read(self) -> bytes:
        """What is there, at most READ_BYTES; b"" for nothing."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LinkError(os.strerror(error.errno or 0)) from None
        if not data:
            raise LinkError("hung up")
        return data

    def begin_write(self, data: bytes) -> None:
        """Takes bytes for `write_more`."""
        self._unwritten = data
        self.is_writing = True

    def write_more(self) -> tuple[int, int]:
        """(bytes that the kernel has not taken, bytes that have not left the machine). (0, 0): all is out."""
        try:
            if self._unwritten:
                self._unwritten = self._unwritten[os.write(self.fd, self._unwritten) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise LinkError(os.strerror(error.errno or 0)) from None
        unwritten = len(self._unwritten)
        left_bytes = unwritten + self._queued_bytes()
        self.is_writing = left_bytes > 0
        return unwritten, left_bytes

    def adjust(self, baudrate: int | None, dtr: bool | None, rts: bool | None) -> None:
        """Changes what is not None, at once; nothing that has come is thrown away. A TCP connection, and a port without
        such pins, has nothing to change. Raises LinkError where the port does not take it."""
        if self._port is None:
            return
        try:
            if baudrate is not None:
                self._port.baudrate = baudrate
        except (OSError, ValueError, termios.error) as error:
            raise LinkError(f"baud rate {baudrate}: {error}") from None
        try:
            if dtr is not None:
                self._port.dtr = dtr
            if rts is not None:
                self._port.rts = rts
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise LinkError(os.strerror(error.errno or 0)) from None

    def apply(self, line: Line) -> None:
        """Sets speed, data bits, parity, stop bits and flow control of the open port; nothing that has come is thrown
        away. Raises LinkError where the port does not take them."""
        if self._port is None:
            return
        try:
            self._port.apply_settings({name: getattr(line, name) for name in APPLIED})
        except (OSError, ValueError, termios.error) as error:
            raise LinkError(f"its settings: {error}") from None

    def cancel_write(self) -> None:
        """Throws away what has not left."""
        self._unwritten, self.is_writing = b"", False
        if self._port is not None:
            try:
                termios.tcflush(self.fd, termios.TCOFLUSH)
            except termios.error:
                pass

    def close(self) -> None:
        """Closes it; output that can't leave must not hold us up."""
        if self.is_writing:
            self.cancel_write()
        if self._port is not None:
            self._port.close()
        if self._connection is not None:
            self._connection.close()

    def _queued_bytes(self) -> int:
        """Bytes that the driver has taken and not sent yet; 0 for a TCP connection, where the kernel sees to them."""
        if self._port is None:
            return 0
        try:
            return int(struct.unpack("I", fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0])
        except OSError:
            return 0


def open_adapter(line: Line) -> SerialLine:
    """Opens the port of the USB adapter that is selected, wherever it is plugged in now."""
    # Here: who names a path needs none of it, and a port reader keeps what it has loaded.
    from common.config.usb_ports import find_port, read_selector

    selector = read_selector(line.port)
    try:
        path = find_port(selector) if selector is not None else line.port
    except LookupError as error:
        raise LinkError(str(error)) from None
    try:
        return open_path(line, path)
    except LinkError as error:
        # Of the selector alone nobody could tell which file to look at.
        advice = f"; `sudo serialgw doctor {path}` says which" if str(error) == IN_USE else ""
        raise LinkError(f"{path}: {error}{advice}") from None


def open_path(line: Line, path: str) -> SerialLine:
    """Opens a device file."""
    try:
        port = _KeepingSerial(
            baudrate=line.baudrate,
            bytesize=line.bytesize,
            parity=line.parity,
            stopbits=line.stopbits,
            timeout=0,
            xonxoff=line.xonxoff,
            rtscts=line.rtscts,
            dsrdtr=line.dsrdtr,
            # Without a value pyserial lets a read of nothing look like a hang-up (VMIN 0).
            inter_byte_timeout=line.inter_byte_timeout_s or 0,
            exclusive=line.exclusive or None,
        )
        port.port = path
        # Before it is opened: pyserial sets both at once then. For a moment the kernel has had them on.
        port.dtr, port.rts = line.dtr is not False, line.rts is not False
        port.open()
        if line.dtr:
            _keep_dtr(port.fileno())
    except (OSError, ValueError, termios.error) as error:
        raise LinkError(_explain(path, error)) from None
    found = SerialLine(port.fileno(), port, None)
    if line.rs485 is not None:
        found.set_direction(line.rs485)
    return found


def _keep_dtr(fd: int) -> None:
    """Lets DTR stay as it is when the port is closed; the kernel clears it else (HUPCL, termios(3))."""
    attributes = termios.tcgetattr(fd)
    attributes[2] &= ~termios.HUPCL
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def begin_connecting(url: str) -> socket.socket:
    """Begins to connect to a TCP port that is a serial line at its other end."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LinkError(f"not an address: {error}") from None
    if not host or not port:
        raise LinkError("expected HOST:PORT behind ://")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        connection = socket.socket(family, kind, protocol)
    except OSError as error:
        raise LinkError(error.strerror or str(error)) from None
    connection.setblocking(False)
    tell_of_pulled_cables(connection)
    code = connection.connect_ex(address)
    if code not in (0, errno.EINPROGRESS):
        connection.close()
        raise LinkError(os.strerror(code))
    return connection


def tell_of_pulled_cables(connection: socket.socket) -> None:
    """Keepalive: a cable that is pulled at the other end is noticed within half a minute, also where nothing is said.
    And nothing waits to be sent with more."""
    # Calls are short, and somebody waits for the answer.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)


def _explain(path: str, error: Exception) -> str:
    """The reason in a person's words."""
    code = getattr(error, "errno", None)
    if code == errno.EACCES:
        # Loaded here: it is rarely needed.
        from common.io.port_access import access_to

        advice = access_to(path)[2]
        return f"permission denied: {advice}" if advice else "permission denied"
    if code in (errno.EAGAIN, errno.EBUSY):
        return IN_USE
    if code == errno.EPERM:
        return "this device is not allowed here: by the container (device_cgroup_rules), or the unit (DeviceAllow)"
    return os.strerror(code) if code else str(error)
