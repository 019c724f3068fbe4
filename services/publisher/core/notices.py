"""What the platform says of devices as such: that one has another name now, or is gone. Pure."""

from __future__ import annotations

from services.publisher.core.dialects import DeviceDeleted, DeviceRenamed, Dialect
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outlet import Outlet
from services.publisher.core.replies import Replies


class Notices:
    """Carries out such notices, and answers them."""

    def __init__(
        self,
        dialect: Dialect,
        names: KeptNames,
        outbox: Outbox,
        replies: Replies,
        out: Outlet,
        *,
        follows_renaming: bool,
    ) -> None:
        """`follows_renaming` False: a device keeps its name, whatever the platform calls it, and is created anew."""
        self._dialect = dialect
        self._names = names
        self._outbox = outbox
        self._replies = replies
        self._out = out
        self._follows = follows_renaming

    def hear(self, notice: DeviceRenamed | DeviceDeleted, now_s: float) -> None:
        """One notice. What has to be kept of it is written before it is answered."""
        match notice:
            case DeviceRenamed(old=old, new=new):
                if self._follows:
                    self._rename(old, new, now_s)
                else:
                    self._out.note("info", "device.renamed", device=old, to=new, then="ignored (handleDeviceRenaming)")
            case DeviceDeleted(device=device):
                self._delete(device, now_s)
        self._replies.add(self._dialect.gateway_done(notice.request), now_s)

    def _rename(self, old: str, new: str, now_s: float) -> None:
        ours = self._names.rename(old, new, now_s)
        if ours is not None:
            self._outbox.renamed(ours, now_s)
            self._out.note("info", "device.renamed", device=ours, was=old, to=new)

    def _delete(self, device: str, now_s: float) -> None:
        ours = self._names.ours(device)
        self._names.delete(ours, now_s)
        self._outbox.deleted(ours, now_s)
        self._out.note("info", "device.deleted", device=ours, then="created anew if it says something again")
