"""A second factor beside the password: six digits from a telephone (TOTP), or a recovery code."""

from __future__ import annotations

import hashlib
import secrets

import segno
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.safestring import SafeString, mark_safe
from django_otp import verify_token
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

CODES = 10  # recovery codes, each for once
CODE_CHARACTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that are taken for another
CODE_LENGTH = 12  # 59 bits


def has_one(user: User) -> bool:
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def is_asked_of(user: User) -> bool:
    """Whether the admin opens to this user by a second factor only."""
    return settings.ADMIN_MFA == "required" or has_one(user)


def was_given_by(user: User) -> bool:
    """In this session: the user is a request's (django_otp's middleware knows)."""
    return getattr(user, "otp_device", None) is not None


def begun(user: User) -> TOTPDevice | None:
    """The one that waits for its first code."""
    return TOTPDevice.objects.filter(user=user, confirmed=False).first()


@transaction.atomic
def begin(user: User) -> None:
    """A new secret, which counts once `confirm` has seen a code of it."""
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    TOTPDevice.objects.create(user=user, name="telephone", confirmed=False)


def drawing(device: TOTPDevice) -> SafeString:
    """The secret as a QR code: an <svg>, black on white in the dark too."""
    code = segno.make(device.config_url, error="m")
    svg = code.svg_inline(omitsize=True, svgclass="qr", lineclass=None, light="#fff", border=4)
    return mark_safe(svg)  # noqa: S308 -- squares: segno puts no text into it


def secret_in_words(device: TOTPDevice) -> str:
    """For who cannot take the picture: groups of four characters."""
    _before, _is, rest = device.config_url.partition("secret=")
    secret = rest.partition("&")[0]
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


@transaction.atomic
def confirm(user: User, code: str) -> tuple[Device, list[str]] | None:
    """With the first code the begun one counts, alone; the device, and its recovery codes."""
    device = begun(user)
    if device is None or verify_token(user, device.persistent_id, _bare(code)) is None:
        return None
    TOTPDevice.objects.filter(user=user, confirmed=True).delete()
    TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
    device.refresh_from_db()
    return device, new_codes(user)


@transaction.atomic
def new_codes(user: User) -> list[str]:
    """Ten; those of before work no more. Kept as hashes: shown once, like an API token."""
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="recovery codes")
    codes = [_random_code() for _ in range(CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_hash(code)) for code in codes)
    return codes


def codes_left(user: User) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())


def check(user: User, code: str) -> Device | None:
    """The device whose code this is; each code works once, and after wrong ones is a wait."""
    bare = _bare(code)
    for device in _devices(user, recovery=not bare.isdecimal()):
        said = bare if isinstance(device, TOTPDevice) else _hash(bare)
        if found := verify_token(user, device.persistent_id, said):
            return found
    return None


def take_away(user: User) -> bool:
    """Whether there was one."""
    had = has_one(user)
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    return had


def _devices(user: User, *, recovery: bool) -> list[Device]:
    kind: type[Device] = StaticDevice if recovery else TOTPDevice
    return list(kind.objects.filter(user=user, confirmed=True)) if has_one(user) else []


def _random_code() -> str:
    return "".join(secrets.choice(CODE_CHARACTERS) for _ in range(CODE_LENGTH))


def _bare(code: str) -> str:
    """As it is kept: people type spaces and capitals."""
    return "".join(code.split()).replace("-", "").lower()[:40]


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()[:16]  # the column's length
