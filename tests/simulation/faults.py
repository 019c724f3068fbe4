"""What goes wrong: each kind of fault, and how long the world is not calm because of it."""

from __future__ import annotations

from common.core.events import Drain
from common.stream.events import GapsFound
from tests.simulation.asked import AskedProcess
from tests.simulation.instruments import IN_TIME_S, LATE_S, Analyser
from tests.simulation.kernel import Process
from tests.simulation.load import Load
from tests.simulation.reader import ReaderProcess
from tests.simulation.scenario import DISK_LOSES, LOAD_S, REPORTS_LOST, Fault, Scenario
from tests.simulation.users import Harm
from tests.simulation.world import LATE_S as CONVERTER_LATE_S
from tests.simulation.world import World

HOUR_MS = 3_600_000
RECOVERY_S = 12.0
"""So long after a fault nobody complains of delays."""
REFUSED_RECOVERY_S = 35.0
"""The same after a refusal of data: the publisher comes back to full speed step by step."""


class Faults:
    """Inflicts what the scenario says."""

    def __init__(self, world: World, scenario: Scenario, load: Load) -> None:
        self.world = world
        self.draw = world.clock.random
        self.load = load
        self.calm_from_s = world.clock.now_s
        """Nothing but the refusal of single devices has gone wrong since then; in the future while something does."""
        self.refused: set[str] = set()
        """Devices that the platform has refused for a while: they come back in their own time."""
        self.troubled: set[str] = set()
        """Devices whose users' code hangs, is slow or dies at a frame: they wait, and nobody waits for them."""
        self.deaf: list[tuple[float, float]] = []
        """When the platform may have left all slots for publishes taken."""
        self.stalls: list[tuple[float, float]] = []
        """When some process stood still, or messages were slow."""
        for fault in scenario.faults:
            world.clock.after(fault.at_s, self._inflict, fault)

    def _inflict(self, fault: Fault) -> None:
        now_s = self.world.clock.now_s
        if self.world.clock.trace:
            self.world.clock.trace(f"FAULT {fault}")
        if fault.kind not in ("platform refuses: device", "frame hangs", "frame kills", "frame slow"):
            recovery_s = REFUSED_RECOVERY_S if fault.kind.startswith("platform refuses") else RECOVERY_S
            self.calm_from_s = max(self.calm_from_s, now_s + fault.for_s + recovery_s)
        for begin in (
            self._begin_death,
            self._begin_trouble,
            self._begin_platform,
            self._begin_bad_frame,
            self._begin_host,
            self._begin_asked,
        ):
            if begin(fault):
                return
        raise AssertionError(f"no such fault: {fault.kind}")

    def _begin_death(self, fault: Fault) -> bool:
        world, draw = self.world, self.draw
        everyone = list(world.processes.values())
        match fault.kind:
            case "kill converter":
                world.kill(draw.choice(world.converters), draw.random() * 3)
            case "kill publisher":
                world.kill(world.publisher, draw.random() * 5)
            case "kill broker":
                world.kill(world.broker, draw.random() * 5)
            case "kill reader":
                world.kill(draw.choice(world.readers), draw.random() * 2)
            case "kill at a step":
                self._arm(draw.choice(everyone), draw.randrange(60))
            case "kill again and again":
                self._kill_again(draw.choice(everyone), 3 + draw.randrange(4))
            case "stop and continue":
                process = draw.choice(everyone)
                process.stop()
                world.clock.after(fault.for_s, process.go_on)
                self._stalled(fault.for_s)
            case "stale converter":
                # What it holds is delivered by others, the publisher that it was for is gone, and then it goes on.
                process = draw.choice(world.converters)
                process.stop()
                world.clock.after(fault.for_s - 2, world.kill, world.publisher, draw.random())
                world.clock.after(fault.for_s, process.go_on)
                self._stalled(fault.for_s)
            case "converter answers never" | "converter answers late" | "converter answers twice":
                process = draw.choice(world.converters)
                process.answers = fault.kind.split()[-1]
                self._stalled(fault.for_s + CONVERTER_LATE_S)
                self._later(fault, process, "answers", "at once")
            case _:
                return False
        return True

    def _arm(self, process: Process, steps: int) -> None:
        """The process dies after so many more effects, between two."""
        process.fuse = steps
        process.on_fuse = lambda: self.world.bring_back(process, self.draw.random() * 2)

    def _kill_again(self, process: Process, times: int) -> None:
        back_s = 0.05 + self.draw.random() * 0.5
        self.world.kill(process, back_s)
        if times > 1:
            self.world.clock.after(back_s + 0.001 + self.draw.random(), self._kill_again, process, times - 1)

    def _begin_trouble(self, fault: Fault) -> bool:
        """What is wrong for a while: links, disks, lines, clocks."""
        world, draw = self.world, self.draw
        link = world.link
        match fault.kind:
            case "messages lost":
                link.loss = 0.3
                self._later(fault, link, "loss", 0.0)
                # What is reported once matters only if it is lost: dead letters, and news of acceptance alone.
                for reader in (reader for reader in world.readers if reader.device.has_user_converter):
                    for _ in range(10):
                        self.load.spoil_next(reader, Harm("raises"))
                world.platform.slow_s = max(world.platform.slow_s, 0.1)
                self._later(fault, world.platform, "slow_s", 0.005)
            case fault_kind if fault_kind == REPORTS_LOST:
                # Slow, so that reception and acceptance are told apart: only of the latter nobody asks again.
                link.report_loss = 0.5
                self._later(fault, link, "report_loss", 0.0)
                world.platform.slow_s = max(world.platform.slow_s, 0.2)
                self._later(fault, world.platform, "slow_s", 0.005)
            case "messages doubled":
                link.doubling = 0.2
                self._later(fault, link, "doubling", 0.0)
            case "messages delayed":
                link.slow_s = 0.4
                self._stalled(fault.for_s)
                self._later(fault, link, "slow_s", 0.001)
            case "messages reordered":
                link.ordered = False
                link.slow_s = max(link.slow_s, 0.05)
                self._later(fault, link, "ordered", True)
                self._later(fault, link, "slow_s", 0.001)
            case "disk full":
                disk = draw.choice(world.readers).disk
                disk.is_full, disk.is_failing = True, draw.random() < 0.5
                self._later(fault, disk, "is_full", False)
                self._later(fault, disk, "is_failing", False)
            case fault_kind if fault_kind == DISK_LOSES:
                # While the platform is away, so that something waits.
                world.platform.go_away()
                self._later(fault, world.platform, "is_up", True)
                world.clock.after(fault.for_s * 0.9, self._lose, draw.choice(world.readers))
            case "disk slow":
                disk = draw.choice(world.readers).disk
                disk.slow_s = draw.choice([0.02, 0.3])
                self._stalled(fault.for_s)
                self._later(fault, disk, "slow_s", 0.0)
            case "port lost":
                line = draw.choice(world.readers).line
                line.unplug()
                self._later(fault, line, "is_plugged", True)
            case "line noise":
                line = draw.choice(world.readers).line
                line.write_slow_s = 0.3
                self._later(fault, line, "write_slow_s", 0.0)
                line.say_noise(bytes(draw.choices(range(32, 127), k=draw.choice([129, 300, 3000]))))
            case "clock jumps":
                hours = draw.choice([-2.9, -1.5, -0.2, -0.001, 0.001, 0.2, 1.5, 2.9])
                world.clock.wall_offset_ms += int(hours * HOUR_MS)
            case _:
                return False
        return True

    def _begin_platform(self, fault: Fault) -> bool:
        world, draw, platform = self.world, self.draw, self.world.platform
        match fault.kind:
            case "platform away":
                platform.go_away()
                self._later(fault, platform, "is_up", True)
            case "platform cuts publishes":
                platform.lose_publishes = 0.15
                self._later(fault, platform, "lose_publishes", 0.0)
            case "platform refuses: rate" | "platform refuses: error":
                row = fault.kind.removeprefix("platform refuses: ")
                # A platform that refuses data of one device three times in a row, and others' not, means that data.
                platform.refuses[row] = 1.0 if row == "error" else draw.choice([0.3, 1.0])
                world.clock.after(fault.for_s, platform.refuses.pop, row, None)
            case "platform refuses: device":
                name = draw.choice(world.readers).device.name
                self.refused.add(name)
                platform.refused_devices[name] = draw.choice([151, 128])
                platform.cut("so that devices are announced again")
                world.clock.after(fault.for_s, platform.refused_devices.pop, name, None)
            case "platform refuses: payload":
                self.load.spoil_next(draw.choice(world.readers), None)
                self.calm_from_s = world.clock.now_s + 1000
            case "platform drops device":
                platform.drop_device(draw.choice(world.readers).device.name)
            case "platform slow":
                platform.slow_s = draw.choice([0.3, 1.0])
                self._later(fault, platform, "slow_s", 0.005)
            case "accepted late":
                platform.late_s = draw.choice([3.0, 15.0, 25.0])
                self._later(fault, platform, "late_s", 0.0)
                self.calm_from_s += platform.late_s
                self.deaf.append((world.clock.now_s, world.clock.now_s + fault.for_s + platform.late_s))
            case "accepted, not acknowledged":
                platform.lose_acks = 0.15
                self._later(fault, platform, "lose_acks", 0.0)
            case _:
                return False
        return True

    def _begin_bad_frame(self, fault: Fault) -> bool:
        draw = self.draw
        readers = [reader for reader in self.world.readers if reader.device.has_user_converter]
        match fault.kind:
            case "frame raises":
                reader = draw.choice(readers)
                for _ in range(draw.choice([1, 10, 40])):
                    self.load.spoil_next(reader, Harm("raises"))
                return True
            case "frame hangs":
                harm = Harm("hangs", draw.choice([1, 1_000_000]))
            case "frame kills":
                harm = Harm("kills", draw.choice([1, 2, 1_000_000]))
            case "frame slow":
                harm = Harm("slow", draw.choice([1, 3]))
            case _:
                return False
        reader = draw.choice(readers)
        self.load.spoil_next(reader, harm)
        self.troubled.add(reader.device.name)
        return True

    def _begin_asked(self, fault: Fault) -> bool:
        """What goes wrong with a line whose devices must be asked, or with its reader."""
        world, draw = self.world, self.draw
        suffering = [asked for asked in world.asked if asked.plan.suffers(fault.kind)]
        if not suffering:
            return False
        asked = draw.choice(suffering)
        line, instrument = asked.asked_line, asked.instrument
        match fault.kind:
            case "kill asking reader":
                # Each time with a question on the line, whose answer comes to the next reader.
                instrument.answers_after_s = LATE_S
                for after_s in (0, 2, 4):
                    world.clock.after(after_s + draw.random(), self._kill_in_question, asked)
                world.clock.after(6, setattr, instrument, "answers_after_s", IN_TIME_S)
            case "kill asking reader at a step":
                self._arm(asked, draw.randrange(60))
            case "asked port lost":
                line.unplug()
                self._later(fault, line, "is_plugged", True)
            case "answers late":
                instrument.answers_after_s = LATE_S
                self._later(fault, instrument, "answers_after_s", IN_TIME_S)
            case "bytes lost":
                # Most of what an analyser hears is one byte, for want of which it says a frame again.
                line.loss, line.loss_heard = (0.05, 0.5) if isinstance(instrument, Analyser) else (0.2, 0.2)
                self._later(fault, line, "loss", 0.0)
                self._later(fault, line, "loss_heard", 0.0)
            case "bits flipped":
                line.flips = 0.2
                self._later(fault, line, "flips", 0.0)
            case "garbage between answers":
                for _ in range(10):
                    data = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 30)))
                    world.clock.after(fault.for_s * draw.random(), line.say_garbage, data)
            case "asked device silent":
                name = draw.choice(asked.streams)
                instrument.silent.add(name)
                if name != asked.silent:
                    # Long enough to be given up, mostly.
                    silent_s = min(LOAD_S - fault.at_s, fault.for_s + 4 * asked.plan.every_s)
                    world.clock.after(silent_s, instrument.silent.discard, name)
            case "asked disk full":
                disk = draw.choice(asked.disks)
                disk.is_full, disk.is_failing = True, draw.random() < 0.5
                self._later(fault, disk, "is_full", False)
                self._later(fault, disk, "is_failing", False)
            case "asked disk slow":
                disk = draw.choice(asked.disks)
                disk.slow_s = draw.choice([0.02, 0.3])
                self._stalled(fault.for_s)
                self._later(fault, disk, "slow_s", 0.0)
            case _:
                return False
        return True

    def _kill_in_question(self, asked: AskedProcess) -> None:
        """It dies when it has written the next time."""
        draw = self.draw
        asked.asked_line.on_heard = lambda: self.world.kill(asked, draw.random() * draw.choice([0.3, 2]))

    def _begin_host(self, fault: Fault) -> bool:
        """What goes wrong with a hosted connector, or with its process."""
        world, draw = self.world, self.draw
        if not world.hosts:
            return False
        host = draw.choice(world.hosts)
        match fault.kind:
            case "kill host":
                world.kill(host, draw.random() * 3)
            case "kill host again and again":
                self._kill_again(host, 3 + draw.randrange(4))
            case "stop host and continue":
                host.stop()
                world.clock.after(fault.for_s, host.go_on)
                self._stalled(fault.for_s)
            case "host terminates":
                host.hear(Drain())
            case "connector fails":
                host.fail()
            case "host disk full":
                host.disk.is_full, host.disk.is_failing = True, draw.random() < 0.5
                self._later(fault, host.disk, "is_full", False)
                self._later(fault, host.disk, "is_failing", False)
            case "host disk slow":
                host.disk.slow_s = draw.choice([0.02, 0.3])
                self._stalled(fault.for_s)
                self._later(fault, host.disk, "slow_s", 0.0)
            case _:
                return False
        return True

    def _lose(self, reader: ReaderProcess) -> None:
        """A reader dies, and the next one finds its journal damaged; or it finds that out itself, and makes it anew."""
        if reader.alive and self.draw.random() < 0.4:
            reader.disk.damage(self.draw)
            reader.hear(GapsFound(list(reader.disk.open().gaps)))
            return
        if reader.alive:
            self.world.kill(reader, self.draw.random() * 2)
        reader.disk.damage(self.draw)

    def _later(self, fault: Fault, thing: object, name: str, value: object) -> None:
        self.world.clock.after(fault.for_s, setattr, thing, name, value)

    def _stalled(self, seconds: float) -> None:
        now_s = self.world.clock.now_s
        self.stalls.append((now_s, now_s + seconds))
