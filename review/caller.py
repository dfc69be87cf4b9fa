"""Where a request comes from, as far as it can be known."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

OF_ONE_HOUSE = 64  # bits of an IPv6 address: within them, one caller has as many as they like


def address_of(request: HttpRequest) -> str | None:
    """The caller's IP address, of an IPv6 one the network; None where there is none.

    Behind proxies it is what the outermost of our own wrote down (X-Forwarded-For, counted from
    the end by TAGGER_PROXIES): whatever stands before that, the caller may have written.
    """
    said = request.META.get("REMOTE_ADDR", "")
    if settings.PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        said = forwarded[-settings.PROXIES] if len(forwarded) >= settings.PROXIES else said
    try:
        address = ipaddress.ip_address(said.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    house = ipaddress.IPv6Network((int(address), OF_ONE_HOUSE), strict=False)
    return str(house.network_address)
