"""A TCP proxy that knows nothing of MQTT: it can cut a connection anywhere, in the middle of a packet too."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self

READ_BYTES = 65_536


class CuttingProxy:
    """Listens on a free port of the loopback and passes bytes on to `target_port`, until told to cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.cuts = 0
        """Connections that were open and are not because of us."""
        self._left: int | None = None
        """Bytes that may still go to the target before everything is cut."""
        self._open: set[tuple[socket.socket, socket.socket]] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection now."""
        for pair in list(self._open):
            self.cuts += 1
            for side in pair:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def cut_after(self, count: int) -> None:
        """Ends every connection when so many more bytes have gone to the target: the last packet arrives in part."""
        self._left = count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                target = socket.create_connection(("127.0.0.1", self._target_port))
            except ConnectionError:
                client.close()
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, target), daemon=True).start()

    def _serve(self, client: socket.socket, target: socket.socket) -> None:
        pair = (client, target)
        self._open.add(pair)
        try:
            with client, target, selectors.DefaultSelector() as selector:
                selector.register(client, selectors.EVENT_READ, target)
                selector.register(target, selectors.EVENT_READ, client)
                while all(self._pass_on(key.fileobj, key.data, target) for key, _ in selector.select()):
                    pass
        except OSError:
            pass
        finally:
            self._open.discard(pair)

    def _pass_on(self, source: socket.socket, to: socket.socket, target: socket.socket) -> bool:
        """False at the end of the connection."""
        data = source.recv(READ_BYTES)
        if to is target and self._left is not None:
            if len(data) >= self._left:
                to.sendall(data[: self._left])
                self._left = None
                self.cut()
                return False
            self._left -= len(data)
        to.sendall(data)
        return bool(data)
