"""Pictures from the public web, where whoever runs the server allows it: never from this machine or its network.

What counts is the address that is connected to, not the name: a name is looked up once, every answer is looked at, and
the connection goes to one of them. Each redirection is looked at in the same way.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from impasto.agents.answers import quoted
from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_REDIRECTS: Final = 3
_TIME_S: Final = 10.0
_PIECE: Final = 64 << 10
_NAT64: Final = ip_network("64:ff9b::/96")
_OLD_IPV4: Final = ip_network("::/96")


def fetch(url: str, most_bytes: int, *, is_allowed: Callable[[str], bool] | None = None) -> bytes:
    """Load a picture.

    Args:
        url: http or https.
        most_bytes: larger files are refused.
        is_allowed: says of an address whether it may be connected to; None: public ones.

    Raises:
        InputError: it may not be loaded, is too large, no picture, or does not come in time.
    """
    end = time.monotonic() + _TIME_S
    for _ in range(_REDIRECTS + 1):
        connection, path = _connection(url, is_allowed or is_public)
        try:
            connection.request("GET", path, headers={"Accept": "image/*", "Accept-Encoding": "identity"})
            response = connection.getresponse()
            if response.status in (301, 302, 303, 307, 308):
                url = urljoin(url, response.headers.get("Location", ""))
                continue
            return _body(response, url, most_bytes, end)
        except (OSError, http.client.HTTPException) as error:
            raise InputError(
                f"{quoted(url)} does not answer as a picture's address does ({type(error).__name__}); check it, or "
                "give the picture in another way"
            ) from None
        finally:
            connection.close()
    raise InputError(f"{quoted(url)} leads on more than {_REDIRECTS} times; give the picture's own address")


def is_public(text: str) -> bool:
    """Whether an address is of the public internet, and so is every older one that is wrapped in it."""
    address = ip_address(text.partition("%")[0])
    return all(one.is_global and not one.is_multicast for one in (address, *_wrapped(address)))


def _wrapped(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [one for one in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if one is not None]
    low = int(address) & 0xFFFFFFFF
    if address in _NAT64 or address in _OLD_IPV4 or int(address) >> 32 & 0xFFFFFFFF in (0x5EFE, 0x2005EFE):  # ISATAP
        found.append(IPv4Address(low))
    return found


def _connection(url: str, is_allowed: Callable[[str], bool]) -> tuple[http.client.HTTPConnection, str]:
    """A connection to an address that may be connected to, and what to ask there.

    Raises:
        InputError: it is no address of the web, or none that may be connected to.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if host and parts.username is not None:  # not repeated: it may be a password
        raise InputError("an address with a user's name in it is not loaded; give one without")
    if not host or parts.scheme not in ("http", "https") or not url.isprintable():
        raise InputError(f"{quoted(url)} is no address of a picture on the web; it begins with https://HOST/")
    try:
        found = {str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise InputError(f"nothing is known of the host in {quoted(url)}; check the address") from None
    if not all(map(is_allowed, found)):
        raise InputError(f"{quoted(url)} lies on this machine or its network, and is not loaded; give a public address")
    kind = _Tls if parts.scheme == "https" else _Plain
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return kind(host, port, sorted(found)[0]), path.replace(" ", "%20")


def _body(response: http.client.HTTPResponse, url: str, most_bytes: int, end: float) -> bytes:
    kind = response.headers.get_content_type()
    if response.status != 200:
        raise InputError(f"{quoted(url)} answers with {response.status}; check the address")
    if response.headers.get("Content-Encoding", "identity") != "identity" or not (
        kind.startswith("image/") or kind == "application/octet-stream"
    ):
        raise InputError(f"{quoted(url)} is no picture but {quoted(kind)}; give the picture's own address")
    kept = bytearray()
    while piece := response.read1(_PIECE):
        kept += piece
        if len(kept) > most_bytes:
            raise InputError(f"{quoted(url)} has more than {most_bytes >> 20} MiB; make the picture smaller")
        if time.monotonic() > end:
            raise InputError(f"{quoted(url)} does not come within {_TIME_S:g} s; give the picture in another way")
    return bytes(kept)


class _Plain(http.client.HTTPConnection):
    """Connects to the address that was looked at, whatever the name means by now."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=_TIME_S / 2)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _Tls(_Plain):
    default_port = 443

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
