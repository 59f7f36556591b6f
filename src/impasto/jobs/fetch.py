"""Pictures from URLs, without lending anybody this machine's place in its network (server-side request forgery).

What is checked is the address that is connected to, at that moment: a name is resolved once, every address is looked
at, and one of those is dialled. So neither a clever spelling, nor a redirection, nor a name server that answers one
thing now and another later (DNS rebinding) leads anywhere but to the public network. No proxy and no other variable of
the environment is heeded.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import anyio
import httpcore2

from impasto.jobs.refusals import RefusedUrlError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable
    from urllib.parse import SplitResult

    #: Addresses of a host's name, such as :func:`resolve` gives.
    Resolver = Callable[[str], Awaitable[list[str]]]

TIMEOUT_S: Final = 10.0
_MOST_REDIRECTS: Final = 3
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: The second is what stores of files say that do not know better; the bytes are looked at anyway.
_KINDS: Final = ("image/", "application/octet-stream", "binary/octet-stream")
_LONGEST_URL: Final = 2000
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?", re.IGNORECASE)

_PUBLIC_V6: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
#: 6to4 and what IANA keeps for protocols, Teredo among it: IPv4 addresses of anybody's choice in disguise.
_TUNNELS: Final = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/23"))
_ISATAP: Final = (0x00005EFE, 0x02005EFE)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public network, and no other in disguise.

    IPv4 addresses inside of IPv6 ones are looked at where networks translate them (mapped, NAT64), and refused where
    they are of a tunnel (6to4, Teredo, ISATAP) or of a form nobody uses any more (``::10.0.0.1``).
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return False
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        elif found not in _PUBLIC_V6 or _is_tunnel(found):
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _is_tunnel(address: ipaddress.IPv6Address) -> bool:
    return any(address in tunnel for tunnel in _TUNNELS) or int(address) >> 32 & 0xFFFFFFFF in _ISATAP


async def resolve(host: str) -> list[str]:
    """A name's addresses, as the system knows them.

    Raises:
        OSError: it has none.
    """
    found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class PublicNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to public addresses only.

    Args:
        resolver: gives the addresses of a name.
        network: connects to one that was checked.
    """

    def __init__(self, resolver: Resolver = resolve, network: httpcore2.AsyncNetworkBackend | None = None) -> None:
        self._resolver, self._network = resolver, network or httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first of a name's addresses, if all are public.

        Raises:
            RefusedUrlError: one is not, or there is none.
        """
        try:
            addresses = await self._resolver(host)
        except (OSError, UnicodeError):
            addresses = []
        # One sentence for both, so that nobody learns from it which names there are inside.
        if not addresses or not all(is_public(address) for address in addresses):
            raise RefusedUrlError("the URL leads to no address of the public network", code="url_refused")
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)


async def fetch(
    url: str, *, most_bytes: int, network: httpcore2.AsyncNetworkBackend | None = None, timeout_s: float = TIMEOUT_S
) -> bytes:
    """What lies at a URL, if it says that it is a picture.

    Args:
        url: with ``http`` or ``https``, at its usual port.
        most_bytes: larger files are refused, whatever they say of their size.
        network: connects; by default to public addresses only.
        timeout_s: for everything together, redirections included.

    Raises:
        RefusedUrlError: it is not fetched; ``code`` says why.
    """
    try:
        with anyio.fail_after(timeout_s):
            async with httpcore2.AsyncConnectionPool(
                ssl_context=_tls(), network_backend=network or PublicNetwork(), max_connections=1
            ) as pool:
                for _ in range(_MOST_REDIRECTS + 1):
                    found = await _get(pool, url, most_bytes)
                    if isinstance(found, bytes):
                        return found
                    url = urljoin(url, found)
        raise RefusedUrlError(f"the URL redirects more than {_MOST_REDIRECTS} times", code="url_refused")
    except (TimeoutError, httpcore2.TimeoutException):
        raise RefusedUrlError(f"the URL did not answer whole within {timeout_s:g} s", code="url_timeout") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, ValueError, OSError):
        raise RefusedUrlError("the server that the URL names did not send the file whole", code="url_refused") from None


def _tls() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()


async def _get(pool: httpcore2.AsyncConnectionPool, url: str, most_bytes: int) -> bytes | str:
    """A file's bytes, or where it is said to be.

    Raises:
        RefusedUrlError: it is neither.
    """
    parts = _checked(url)
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    headers = [(b"Host", parts.netloc.encode()), (b"Accept", b"image/*"), (b"Accept-Encoding", b"identity")]
    place = httpcore2.URL(
        scheme=parts.scheme.encode(),
        host=(parts.hostname or "").encode(),
        port=None,
        target=(target if target.startswith("/") else f"/{target}").encode("ascii"),
    )
    async with pool.stream("GET", place, headers=headers) as answer:
        said = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
        if answer.status in _REDIRECTS and b"location" in said:
            return said[b"location"]
        if answer.status != 200:
            raise RefusedUrlError(f"the URL was answered with {answer.status}", code="url_refused")
        if not said.get(b"content-type", "").strip().lower().startswith(_KINDS):
            raise RefusedUrlError("the URL does not lead to a picture, by its Content-Type", code="url_refused")
        if said.get(b"content-encoding", "identity").lower() != "identity":
            raise RefusedUrlError("the file is packed, which was not asked for", code="url_refused")
        length = said.get(b"content-length", "")
        kept = bytearray()
        if not length.isdigit() or int(length) <= most_bytes:
            async for piece in answer.aiter_stream():
                kept += piece
                if len(kept) > most_bytes:
                    break
            else:
                return bytes(kept)
        raise RefusedUrlError(f"the file has more than {most_bytes >> 20} MiB", code="too_large")


def _checked(url: str) -> SplitResult:
    """The parts of a URL that may be asked for.

    Raises:
        RefusedUrlError: it may not.
    """
    reason = None
    if len(url) > _LONGEST_URL or not url.isascii() or any(char <= " " or char in "\\\x7f" for char in url):
        reason = f"a URL has at most {_LONGEST_URL} characters of ASCII and no spaces"
    else:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            reason = "it is no URL"
        else:
            if parts.scheme not in _PORTS:
                reason = "a URL begins with https:// or http://"
            elif "@" in parts.netloc:
                reason = "a URL must not hold a name or a password"
            elif port not in (None, _PORTS[parts.scheme]):
                reason = "a URL must not name another port than the usual one"
            elif not _NAME.fullmatch(host) and not _is_v6(host):
                reason = "the URL names no host"
            else:
                return parts
    raise RefusedUrlError(f"the URL is not fetched: {reason}", code="url_refused")


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
