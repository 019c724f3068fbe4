"""A serial port behind a telnet connection (RFC 2217): what is said to its server, and what that says.

No socket and no clock: bytes in, payload out, and what is to be sent besides (`take_output`). The client offers the
option COM-PORT, and once the server takes it (DO) sends the settings, the baud rate last. A server that answers that
has done with all of them, so nothing else is waited for: many servers don't answer everything. A setting that it
answers with another value is refused, and told (`take_refused`).
"""

from __future__ import annotations

from typing import Final

from common.config.models import Line
from services.port_reader.core.events import NO_ERRORS, LineErrors

IAC: Final = 255
_DONT, _DO, _WONT, _WILL, _SB, _SE = 254, 253, 252, 251, 250, 240
_BINARY, _SUPPRESS_GO_AHEAD, _COM_PORT = 0, 3, 44
_WANTED: Final = (_BINARY, _SUPPRESS_GO_AHEAD, _COM_PORT)
_BAUD, _SIZE, _PARITY, _STOP, _CONTROL = 1, 2, 3, 4, 5
_SUSPEND, _RESUME, _LINE_MASK, _MODEM_MASK, _PURGE = 8, 9, 10, 11, 12
_LINE_STATE: Final = 6
"""What a client asks is below 100; the server's answer, and what it tells by itself, is 100 more."""
_ANSWER: Final = 100
_PARITIES: Final = {"N": 1, "O": 2, "E": 3, "M": 4, "S": 5}
_STOPS: Final = {1: 1, 2: 2, 1.5: 3}
_DTR_ON, _DTR_OFF, _RTS_ON, _RTS_OFF = 8, 9, 11, 12
_ERRORS: Final = 0x1E
"""Line states that are told: overrun 2, parity 4, framing 8, break 16. Bytes that came are not, nor room for others."""
_PURGE_OUTPUT: Final = 2
MAX_SUBNEGOTIATION_BYTES: Final = 256
"""Longer ones are passed over: the longest that says something to us has five bytes."""


class Rfc2217:
    """One connection. `receive` takes what the server says, cut anywhere, and gives the payload in it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._state: int | None = None
        """None: in the payload. IAC: behind one. A verb (DO …): behind it. SB: in a subnegotiation; SE: behind an IAC
        in that."""
        self._told = bytearray()
        self._output = bytearray()
        self._answered: set[tuple[int, int]] = set()
        self._asked: dict[int, tuple[bytes, str]] = {}
        """Command → the value that we want, and what it is in words."""
        self._refused: list[str] = []
        self.is_ready = False
        """True once the server has done with the settings: what comes is the device's."""
        self.fault = ""
        """Why this server is of no use; "" while it may be of some."""
        self.is_suspended = False
        """True while the server has no room for what is written."""
        self._errors = NO_ERRORS
        for option in _WANTED:
            self._say(_WILL, option)
        self._say(_DO, _BINARY)
        self._say(_DO, _SUPPRESS_GO_AHEAD)

    def take_output(self) -> bytes:
        """What is to be sent to the server, between two writes and never inside one; b"" for nothing."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def take_refused(self) -> list[str]:
        """Settings that the server has refused since this was called last, in words."""
        found, self._refused = self._refused, []
        return found

    def take_errors(self) -> LineErrors:
        """Errors of the line that the server has told since this was called last; NO_ERRORS itself for none."""
        found, self._errors = self._errors, NO_ERRORS
        return found

    @staticmethod
    def escaped(data: bytes) -> bytes:
        """What a write of `data` has to be on the connection."""
        return data.replace(b"\xff", b"\xff\xff")

    def adjust(self, baudrate: int | None, dtr: bool | None, rts: bool | None) -> None:
        """Changes what is not None; the server does it in the order in which it hears of writes and changes."""
        if dtr is not None:
            self._control(_DTR_ON if dtr else _DTR_OFF, "")
        if rts is not None:
            self._control(_RTS_ON if rts else _RTS_OFF, "")
        if baudrate is not None:
            self._set(_BAUD, baudrate.to_bytes(4, "big"), f"baud rate {baudrate}")

    def purge_output(self) -> None:
        """Throws away what the server has not written to the line yet; no answer is waited for."""
        self._command(_PURGE, bytes([_PURGE_OUTPUT]))

    # What the server says

    def receive(self, data: bytes) -> bytes:
        """The payload in these bytes. What comes before the settings are done is dropped: it was read with others."""
        if self._state is None and self.is_ready and IAC not in data:
            return data
        payload = bytearray()
        place = 0
        while place < len(data):
            if self._state is None:
                end = data.find(IAC, place)
                payload += data[place:] if end < 0 else data[place:end]
                if end < 0:
                    break
                self._state, place = IAC, end + 1
                continue
            was_ready = self.is_ready
            if self._take(data[place]):
                payload.append(IAC)
            if self.is_ready and not was_ready:
                payload.clear()
            place += 1
        return bytes(payload) if self.is_ready else b""

    def _take(self, byte: int) -> bool:
        """One byte that is no plain payload; True if it is an escaped one."""
        state = self._state
        if state == IAC:
            if byte == IAC:
                self._state = None
                return True
            self._state = byte if byte in (_DO, _DONT, _WILL, _WONT, _SB) else None
            self._told.clear()
        elif state == _SB:
            if byte == IAC:
                self._state = _SE
            else:
                self._keep(byte)
        elif state == _SE:
            if byte == IAC:
                self._keep(byte)
                self._state = _SB
            else:
                # SE, or a server that has forgotten it and goes on with another command.
                self._state = None
                self._subnegotiated()
                if byte != _SE:
                    self._state = IAC
                    return self._take(byte)
        else:
            self._state = None
            self._negotiated(int(state or 0), byte)
        return False

    def _keep(self, byte: int) -> None:
        if len(self._told) <= MAX_SUBNEGOTIATION_BYTES:
            self._told.append(byte)

    def _negotiated(self, verb: int, option: int) -> None:
        """The server wants an option, or does not. Each is answered once, so that no two sides answer for ever."""
        if option == _COM_PORT and verb == _DO and not self._asked:
            self._send_settings()
        elif option == _COM_PORT and verb == _DONT:
            self.fault = "the server there sets no ports (RFC 2217); socket:// takes a line as it is"
        elif option == _BINARY and verb in (_DONT, _WONT):
            self._refuse("all values of a byte (telnet's option BINARY)")
        if verb in (_DO, _WILL):
            yes, no = (_WILL, _WONT) if verb == _DO else (_DO, _DONT)
            self._say(yes if option in _WANTED else no, option)

    def _subnegotiated(self) -> None:
        """An answer, or something that the server tells by itself. What is unknown, or too long, says nothing."""
        told = bytes(self._told)
        if len(told) < 2 or told[0] != _COM_PORT or len(told) > MAX_SUBNEGOTIATION_BYTES:
            return
        command, value = told[1] - _ANSWER, told[2:]
        if command == _LINE_STATE and value:
            self._add_errors(value[0])
        elif command in (_SUSPEND, _RESUME):
            self.is_suspended = command == _SUSPEND
        elif command in self._asked:
            wanted, words = self._asked[command]
            if words and value and value != wanted and (command != _CONTROL or value[0] in (1, 2, 3)):
                self._refuse(f"{words} (it has {int.from_bytes(value[:4], 'big')})" if command == _BAUD else words)
            if command == _BAUD:
                self.is_ready = True

    def _add_errors(self, state: int) -> None:
        before = self._errors
        if state & _ERRORS:
            self._errors = LineErrors(
                before.framing + bool(state & 8),
                before.parity + bool(state & 4),
                before.overruns + bool(state & 2),
                before.breaks + bool(state & 16),
            )

    # What is said to it

    def _send_settings(self) -> None:
        line = self._line
        self._command(_LINE_MASK, bytes([_ERRORS]))
        self._command(_MODEM_MASK, b"\x00")
        self._set(_SIZE, bytes([line.bytesize]), f"{line.bytesize} data bits")
        self._set(_PARITY, bytes([_PARITIES[line.parity]]), f"parity {line.parity}")
        self._set(_STOP, bytes([_STOPS[line.stopbits]]), f"{line.stopbits:g} stop bits")
        flow, words = (2, "xonxoff") if line.xonxoff else (3, "rtscts") if line.rtscts else (1, "no flow control")
        self._control(flow, words)
        self.adjust(
            line.baudrate,
            None if line.dsrdtr else line.dtr is not False,
            None if line.rtscts else line.rts is not False,
        )

    def _set(self, command: int, value: bytes, words: str) -> None:
        self._asked[command] = value, words
        self._command(command, value)

    def _control(self, value: int, words: str) -> None:
        """One of several settings that share a command; only flow control has words, and is looked at when answered."""
        if words:
            self._asked[_CONTROL] = bytes([value]), words
        self._command(_CONTROL, bytes([value]))

    def _command(self, command: int, value: bytes) -> None:
        self._output += bytes([IAC, _SB, _COM_PORT, command]) + self.escaped(value) + bytes([IAC, _SE])

    def _say(self, verb: int, option: int) -> None:
        if (verb, option) not in self._answered:
            self._answered.add((verb, option))
            self._output += bytes([IAC, verb, option])

    def _refuse(self, words: str) -> None:
        if words not in self._refused:
            self._refused.append(words)
