"""The one client for addresses that people give: it reaches the public internet and nothing else.

A page to be tagged, a webhook to be called: whoever can type an address could otherwise let this
server ask what only it can reach (other services of the house, the cloud's metadata). So:

- only http and https, on 80, 443 or a port above 1023 (the low ones are other protocols', and
  those above are where people run web servers), without a name and password in the address;
- every address that the name resolves to is looked at, inside NAT64, 6to4, Teredo and mapped
  forms too, and one that is not public refuses all; the connection goes to an address that was
  looked at, so that a second answer of the name server changes nothing (TLS still checks the name);
- each redirect is looked at in the same way, and a POST follows none;
- the size and the whole time are limited, so that no drip can hold it.

With TAGGER_ALLOW_PRIVATE_URLS it reaches loopback and private addresses too; never link-local
ones, where clouds answer for the machine itself.
"""

from __future__ import annotations

import functools
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import httpcore2
import httpx2
from django.conf import settings
from django.utils.translation import gettext as _

MOST_REDIRECTS = 5
REDIRECTS = {301, 302, 303, 307, 308}
CHUNK = 65_536  # bytes in one read or write: each looks at the clock
PRIVATE_TO_ONE_HOST = {"authorization", "cookie", "proxy-authorization"}

Address = IPv4Address | IPv6Address

GIVEN_OUT = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that is in public use
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Public as Python sees it (3.11.7 does), and yet not the public internet: the IETF's own
# (Oracle's metadata are there), the old 6to4 relays, Azure's wire server.
NEVER = [
    ipaddress.ip_network(block) for block in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
]
# What a house calls its own: RFC 1918, RFC 6598, RFC 4193 and the loopback.
PRIVATE = [
    ipaddress.ip_network(block)
    for block in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7"),
    )
]
# Private, and yet the metadata of a cloud: Alibaba's, AWS's.
METADATA = [IPv4Address("100.100.100.200"), IPv6Address("fd00:ec2::254")]


class Refusal(Exception):
    """The address was not fetched; the one sentence is for the person who gave it."""


@dataclass(frozen=True)
class Answer:
    """headers: by their names in lower case. url: where it came from, after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    most_bytes: int,
    seconds: float,
) -> Answer:
    """Ask, and follow up to five redirects of a GET or HEAD; any status is an answer.

    Raises Refusal, and no other exception: for an address that may not be asked, one that does
    not answer within `seconds` in all, and an answer of more than `most_bytes`.
    """
    deadline = time.monotonic() + seconds
    sent = {"accept-encoding": "identity", "user-agent": "tagger", **_lower(headers or {})}
    target = _parse(url)
    try:
        for _redirect in range(MOST_REDIRECTS + 1):
            answer = _ask(method, target, sent, body, most_bytes, deadline)
            location = answer.headers.get("location")
            follows = method in ("GET", "HEAD") and answer.status in REDIRECTS
            if not follows or location is None:
                return answer
            old, target = target, _parse(location, base=target)
            if _origin(old) != _origin(target):
                sent = {k: v for k, v in sent.items() if k not in PRIVATE_TO_ONE_HOST}
    except httpcore2.TimeoutException as error:
        told = _("The address did not answer in full within %(seconds)d seconds.")
        raise Refusal(told % {"seconds": seconds}) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError, ValueError) as error:
        raise Refusal(_("The address does not answer as a web server does.")) from error
    raise Refusal(_("The address leads on to others more than five times."))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _origin(url: httpx2.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, _port(url)


def _port(url: httpx2.URL) -> int:
    return url.port if url.port is not None else {"http": 80, "https": 443}[url.scheme]


def _parse(address: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """The address, absolute and in ASCII. Raises Refusal."""
    try:
        url = httpx2.URL(address) if base is None else base.join(address)
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        raise Refusal(_("This is not an address of a web page.")) from error
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise Refusal(_("Only addresses that begin with http:// or https:// can be fetched."))
    if url.userinfo:
        raise Refusal(_("An address with a name and password in it is not fetched."))
    if _port(url) not in (80, 443) and not 1023 < _port(url) < 65536:
        raise Refusal(_not_public())
    return url


def _not_public() -> str:
    """One sentence for all of these: it tells nothing about what is there."""
    return _("This address cannot be reached, or it is not one of the public internet.")


def _ask(
    method: str,
    url: httpx2.URL,
    headers: Mapping[str, str],
    body: bytes,
    most_bytes: int,
    deadline: float,
) -> Answer:
    target = httpcore2.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
    pool = httpcore2.ConnectionPool(
        ssl_context=_tls() if url.scheme == "https" else None,
        network_backend=_Guard(deadline),
    )
    named: list[tuple[bytes | str, bytes | str]] = [*headers.items()]
    with pool, pool.stream(method, target, headers=named, content=body or None) as response:
        # Read as Latin-1: a header is bytes, and what these say need not be UTF-8.
        said = {name.decode("latin-1").lower(): v.decode("latin-1") for name, v in response.headers}
        if said.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(_("The address answers in a compressed form that was not asked for."))
        found = bytearray()
        for part in response.iter_stream():
            found += part
            if len(found) > most_bytes:
                told = _("The answer has more than the %(most)d bytes that are allowed.")
                raise Refusal(told % {"most": most_bytes})
        return Answer(response.status, said, bytes(found), str(url))


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Guard(httpcore2.NetworkBackend):
    """Connects to addresses that were looked at, and until the deadline only."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.plain = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = _resolve(host, port, _left(self.deadline))
        if not addresses or not all(map(may_be_asked, addresses)):
            raise Refusal(_not_public())
        for number, address in enumerate(addresses):
            left = _left(self.deadline) / (len(addresses) - number)  # one that is silent: the next
            try:
                found = self.plain.connect_tcp(str(address), port, left)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
            return _Stream(found, self.deadline)
        raise Refusal(_not_public())


class _Stream(httpcore2.NetworkStream):
    """A connection whose every wait ends at the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self.stream = stream
        self.deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(min(max_bytes, CHUNK), _left(self.deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), CHUNK):
            self.stream.write(buffer[start : start + CHUNK], _left(self.deadline))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        secure = self.stream.start_tls(ssl_context, server_hostname, _left(self.deadline))
        return _Stream(secure, self.deadline)

    def get_extra_info(self, info: str) -> object:
        return self.stream.get_extra_info(info)


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore2.ReadTimeout
    return seconds


def _resolve(host: str, port: int, seconds: float) -> list[Address]:
    """All addresses of the name, in the resolver's order; none where there are none in time.

    In a thread: the resolver keeps its own time, which may be much longer.
    """
    answers: queue.SimpleQueue[list[Address]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(ipaddress.ip_address(row[4][0]) for row in found)))
        except (OSError, ValueError):  # not found, or no name at all
            answers.put([])

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return []


def may_be_asked(address: Address) -> bool:
    """Whether the address is of the public internet, or of a house that allows its own.

    An IPv6 address that stands for an IPv4 one is judged as that one.
    """
    if isinstance(address, IPv4Address):
        if address in METADATA or any(address in block for block in NEVER):
            return False
        if address.is_multicast or address.is_reserved:
            return False
        return address.is_global or _is_our_own(address)
    if address.ipv4_mapped is not None:
        return may_be_asked(address.ipv4_mapped)
    if address in NAT64:
        return may_be_asked(IPv4Address(int(address) & 0xFFFF_FFFF))
    if address in METADATA:
        return False
    if address not in GIVEN_OUT:
        return _is_our_own(address)
    if address.sixtofour is not None:
        return may_be_asked(address.sixtofour)
    if address.teredo is not None:
        return all(map(may_be_asked, address.teredo))
    return address.is_global


def _is_our_own(address: Address) -> bool:
    return bool(settings.ALLOW_PRIVATE_URLS) and any(address in block for block in PRIVATE)
