"""How the platform has treated one device: what it may be sent next, and whether it is in doubt. Pure."""

from __future__ import annotations


class Standing:
    """What refusals and closed connections have said against a device; only `session` changes it.

    A device is *in a group* while one of several is known to be bad: halves of them travel apart until it is found. It
    has a *cap* while one of its records is known to be bad: fewer and fewer of them travel at once. It is a *suspect*
    after some `closes` in a row (see `suspicion`): then it is tried with nothing else in flight.
    """

    __slots__ = (
        "blamed_for",
        "cap",
        "closes",
        "dropped",
        "group",
        "is_stuck",
        "refusals",
        "refused_for",
        "retry_at_s",
        "solo_until_s",
        "strike_mark",
        "strikes",
        "suspects",
        "trial",
    )

    def __init__(self) -> None:
        self.group = 0
        """Lanes of one group travel together and with no others; 0: with everyone."""
        self.cap: int | None = None
        """Most items (or attributes) of the next publish, which then has no other lane; None: no limit."""
        self.suspects = 0
        """Items among which the bad one is, while there is a cap."""
        self.solo_until_s = 0.0
        """Until then its publishes hold nothing of other lanes, for a bad record of it was found."""
        self.retry_at_s = 0.0
        """Nothing of it goes out before."""
        self.refusals = 0
        """Refusals in a row, which lengthen the wait for the next try."""
        self.refused_for = ""
        """Why the last one came, in words."""
        self.closes = 0
        """Closes in a row with a publish of this lane in flight."""
        self.blamed_for = ""
        """What kind of publish that was, the last time."""
        self.trial = 0
        """The token of its last publish of data, while it is a suspect and so tried alone; a later one is higher."""
        self.strikes = 0
        """Closes with one record of this lane alone in flight, with others accepted between."""
        self.strike_mark = 0
        """How many publishes of anybody had been accepted at the last strike."""
        self.dropped = False
        """True once the platform has ended the device's session, until it accepts data again."""
        self.is_stuck = False
        """True once a warning has said that a record closes the connection and nothing else is accepted."""

    def clear(self, count: int) -> None:
        """A publish of `count` items was accepted: those are good, and with the last suspect all is forgiven."""
        self.group = self.refusals = 0
        self.dropped = False
        self.suspects -= count
        if self.suspects <= 0:
            self.cap, self.blamed_for = None, ""
            self.closes = self.strikes = self.trial = 0
            self.is_stuck = False

    def narrow(self, count: int) -> None:
        """Half of `count` items go first, because one of them is bad."""
        self.cap, self.suspects = max(1, count // 2), count

    def single_out(self, until_s: float) -> None:
        """The bad item is found: the lane travels alone for a while."""
        self.cap, self.suspects, self.group, self.closes, self.strikes = None, 0, 0, 0, 0
        self.blamed_for = ""
        self.solo_until_s = until_s

    def is_alone(self, now_s: float) -> bool:
        """True if this lane's publishes may hold nothing of other lanes."""
        return self.cap is not None or now_s < self.solo_until_s
