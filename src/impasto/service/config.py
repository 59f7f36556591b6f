"""What whoever runs the service decides."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

#: By these names a browser on this machine reaches it, and no other page can make itself one of them.
_HERE: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
#: Whose jobs are those of a service that asks for no keys.
LOCAL_OWNER: Final = "local"


@dataclass(frozen=True)
class ServiceConfig:
    """How the service answers, and to whom."""

    host: str = "127.0.0.1"
    port: int = 8765
    allow_hosts: tuple[str, ...] = ()
    """Names by which it may be asked for besides its own, without port."""
    max_upload_mb: int = 32
    safety: str | None = None
    """The safety check that looks at uploads."""
    golden: Path | None = None
    """A golden set that is made again at the start."""
    longest_wait_s: float = 60.0
    """How long a request may wait for its job."""
    compatible_wait_s: float = 600.0
    """The same where a client knows nothing of jobs; about what such clients wait."""
    poll_s: float = 0.2
    """How often somebody who waits looks for news."""
    require_keys: bool = False
    """Ask for keys also on this machine's own address, as behind a proxy."""
    requests_a_minute: int = 600
    """How often a key may ask, unless it has a rate of its own."""
    allow_url_fetch: bool = False
    """Whether an asset may be given by its URL."""

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def needs_keys(self) -> bool:
        """Whether every request must bring an API key."""
        return self.require_keys or not self.is_local

    @property
    def hosts(self) -> frozenset[str] | None:
        """Names it answers to; None: any, where a key has to be shown anyway and no page of strangers has one."""
        if self.needs_keys and not self.allow_hosts:
            return None
        return _HERE | {self.host} | {name.lower() for name in self.allow_hosts}
