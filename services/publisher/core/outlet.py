"""The one way out of the publisher's components: effects that they order, and lines that they log. Pure."""

from __future__ import annotations

from common.core.events import Level, Note
from services.publisher.core.events import Effect


class Outlet:
    """Where every component of the core puts its effects; the core hands them to its shell.

    The core makes one and gives it to each component at construction. A component never returns effects, takes no
    callback for them and keeps none: `order` and `note` show the reader of a method what leaves the process there.

    Effects are performed in the order in which they were ordered, at the end of the event that is being handled.
    Notes wait until the end of the turn, so that writing a log line delays no publish and no call.
    """

    __slots__ = ("_notes", "effects")

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        """What was ordered since the core has taken them last; several at once are added to the end here."""
        self._notes: list[Note] = []

    def order(self, effect: Effect) -> None:
        """Lets the shell perform this, after everything that was ordered before."""
        self.effects.append(effect)

    def note(self, level: Level, event: str, /, **facts: float | str) -> None:
        """Logs one line at the end of the turn: `event key=value …`, the facts in the order given."""
        self._notes.append(Note(level, event, facts))

    def end_turn(self) -> None:
        """Puts the turn's notes behind what it has ordered."""
        if self._notes:
            self.effects += self._notes
            self._notes = []

    def take(self) -> list[Effect]:
        """Everything that was ordered since the last call, and is now the caller's."""
        effects, self.effects = self.effects, []
        return effects
