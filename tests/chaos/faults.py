"""What is done to the gateway, drawn from a seed: each fault has a beginning and, some seconds later, an end."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

from tests.chaos.junk import throw_junk
from tests.chaos.proxy import CuttingProxy
from tests.chaos.running import Running
from tests.chaos.talkers import Talker
from tests.e2e.harness import Mosquitto

EVERY_S = 0.6
"""Mean time between two faults."""
VICTIMS = ("converter", "publisher", "broker", "monitor")
"""What is killed. A killed port reader may lose a read, so that has a test of its own; here it is stopped."""
LONG_STOP = 0.1
"""Share of stops that last until others take the process for lost."""


class Faults:
    """Draws faults and carries them out; `pump` to be called often, `heal` at the end."""

    def __init__(
        self, seed: int, running: Running, talkers: list[Talker], mosquitto: Mosquitto, proxy: CuttingProxy
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._draw = random.Random(seed)
        self._running = running
        self._talkers = talkers
        self._mosquitto = mosquitto
        self._proxy = proxy
        self._order = itertools.count()
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._stopped: set[int] = set()
        self._unplugged: set[str] = set()
        self._is_down = False
        self._next_s = time.monotonic()
        kinds: dict[Callable[[], None], int] = {
            self._kill: 30,
            self._stop: 20,
            self._unplug: 20,
            self._restart_mqtt_broker: 6,
            self._cut: 12,
            self._junk: 12,
        }
        self._kinds = list(kinds)
        self._weights = list(kinds.values())

    def pump(self) -> None:
        """Ends what is to end now, and begins the next fault if it is time."""
        self._end_until(time.monotonic())
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + self._draw.expovariate(1 / EVERY_S)
            self._draw.choices(self._kinds, self._weights)[0]()

    def heal(self) -> None:
        """Ends all faults."""
        self._end_until(float("inf"))

    def _end_until(self, now_s: float) -> None:
        while self._ends and self._ends[0][0] <= now_s:
            heapq.heappop(self._ends)[2]()

    def _later(self, delay_s: float, end: Callable[[], None]) -> None:
        heapq.heappush(self._ends, (time.monotonic() + delay_s, next(self._order), end))

    def _victim(self, kinds: tuple[str, ...]) -> tuple[str, int]:
        """A kind first, so that eight port readers are not stopped eight times as often as the one publisher."""
        found = self._running.processes()
        kind = self._draw.choice(kinds)
        names = sorted(name for name in found if name.split()[0] == kind)
        name = self._draw.choice(names) if names else ""
        return kind, found.get(name, 0)

    def _kill(self) -> None:
        kind, pid = self._victim(VICTIMS)
        if pid and self._running.signal(pid, signal.SIGKILL):
            self._stopped.discard(pid)
            self.counts[f"kills of {kind}"] += 1

    def _stop(self) -> None:
        kind, pid = self._victim((*VICTIMS, "port_reader"))
        if not pid or pid in self._stopped or not self._running.signal(pid, signal.SIGSTOP):
            return
        self._stopped.add(pid)
        self.counts[f"stops of {kind}"] += 1
        is_long = self._draw.random() < LONG_STOP
        self._later(self._draw.uniform(5.5, 8) if is_long else self._draw.uniform(0.1, 3), lambda: self._continue(pid))

    def _continue(self, pid: int) -> None:
        self._stopped.discard(pid)
        self._running.signal(pid, signal.SIGCONT)

    def _unplug(self) -> None:
        talker = self._draw.choice(self._talkers)
        if talker.name in self._unplugged or not talker.unplug():
            return
        self._unplugged.add(talker.name)
        self.counts["unplugs"] += 1
        self._later(self._draw.uniform(0.05, 3), lambda: self._plug_in(talker))

    def _plug_in(self, talker: Talker) -> None:
        talker.plug_in()
        self._unplugged.discard(talker.name)

    def _restart_mqtt_broker(self) -> None:
        if self._is_down:
            return
        self._is_down = True
        self.counts["MQTT broker restarts"] += 1
        self._mosquitto.stop()
        self._later(self._draw.uniform(0.2, 5), self._start_mqtt_broker)

    def _start_mqtt_broker(self) -> None:
        self._mosquitto.start()
        self._is_down = False

    def _cut(self) -> None:
        self.counts["cuts"] += 1
        if self._draw.random() < 0.3:
            self._proxy.cut()
        else:
            self._proxy.cut_after(self._draw.randrange(1, 2_000))

    def _junk(self) -> None:
        self.counts["junk"] += 1
        throw_junk(self._running.run_dir, self._draw)
