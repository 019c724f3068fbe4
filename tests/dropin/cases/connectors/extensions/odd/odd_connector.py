"""A connector that uses the process as if it were its own, in the way that its settings name."""

import asyncio
import faulthandler
import logging
import logging.config
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from threading import Thread

from thingsboard_gateway.connectors.connector import Connector


class OddConnector(Connector):
    def __init__(self, gateway, config, connector_type):
        super().__init__()
        self._gateway = gateway
        self._device = config["device"]
        self._way = config["way"]
        self._failed = []
        self._stopped = False
        self._child = None
        getattr(self, "_begin_" + self._way)()

    def open(self):
        self._gateway.add_device(self._device, {"connector": self}, "odd")
        Thread(target=self._run, daemon=True).start()
        if self._way == "loop":
            asyncio.run(self._loop())

    def _run(self):
        number = 0
        while not self._stopped:
            number += 1
            self._try("logging", lambda: logging.getLogger("odd").warning("%s logs %d", self._device, number))
            print(self._device, "prints", number)
            self._store({"number": number, "failed": self._failed})
            time.sleep(0.2)

    def _store(self, values):
        return self._gateway.send_to_storage(self.name, {"deviceName": self._device, "telemetry": [values]})

    def _try(self, name, use):
        try:
            return use()
        except BaseException as error:
            self._failed.append(f"{name}: {error!r}")

    # Signals

    def _begin_handler(self):
        """A handler that ends the program, as stand-alone scripts have it."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def _begin_default(self):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _begin_wakeup(self):
        assert signal.set_wakeup_fd(-1) == -1

    def _begin_loop(self):
        """A loop in the main thread."""

    async def _loop(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
        while not self._stopped:
            await asyncio.sleep(0.05)

    # Logs

    def _begin_handlers(self):
        logging.getLogger().addHandler(logging.StreamHandler())
        logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))

    def _begin_basic(self):
        logging.basicConfig(level=logging.INFO, force=True)

    def _begin_dict(self):
        console = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
        root = {"handlers": ["console"], "level": "INFO"}
        logging.config.dictConfig({"version": 1, "handlers": {"console": console}, "root": root})

    def _begin_silent(self):
        logging.getLogger().handlers.clear()
        logging.disable(logging.CRITICAL)

    # Streams

    def _begin_streams(self):
        uses = {
            "faulthandler": faulthandler.enable,
            "reconfigure": lambda: sys.stdout.reconfigure(line_buffering=True),
            "buffer": lambda: sys.stdout.buffer.write(b"bytes of the stream\n"),
            "closed": lambda: sys.stdout.closed or sys.stderr.closed,
            "descriptor": lambda: subprocess.run(["echo", "a child of the stream"], stdout=sys.stdout, check=True),
            "nothing to read": lambda: subprocess.run(["cat"], check=True, timeout=10),
            "close": lambda: sys.stderr.close(),
            "after close": lambda: sys.stderr.write("still there\n"),
        }
        for name, use in uses.items():
            self._try(name, use)

    # Processes

    def _begin_forks(self):
        self._child = multiprocessing.Process(target=time.sleep, args=(600,), daemon=True)
        self._child.start()

    def _in_child(self, says):
        signal.signal(signal.SIGTERM, lambda *_: says.send("told") or sys.exit(7))
        says.send(str(self._store({"value": 1})))
        time.sleep(600)

    def close(self):
        self._stopped = True
        self._store({"last": True})

    def get_name(self):
        return self.name

    def is_connected(self):
        return True

    def on_attributes_update(self, content):
        pass

    def server_side_rpc_handler(self, content):
        method = content["data"]["method"]
        answer = method
        if method == "terminate":
            child = multiprocessing.Process(target=time.sleep, args=(600,))
            child.start()
            child.terminate()
            child.join(5)
            answer = child.exitcode
        elif method == "handler in child":
            heard, says = multiprocessing.Pipe()
            child = multiprocessing.Process(target=self._in_child, args=(says,))
            child.start()
            answer = [heard.poll(5) and heard.recv()]
            child.terminate()
            answer.append(heard.poll(5) and heard.recv())
            child.join(5)
            answer.append(child.exitcode)
        elif method == "pids":
            answer = [os.getpid(), self._child.pid]
        elif method == "refused":
            answer = str(self._store({"value": object()}))
        self._gateway.send_rpc_reply(content["device"], content["data"]["id"], {"answer": answer})
