"""Who somebody is here that has signed in at the house's own provider (OpenID Connect).

The first time by an address that the provider has verified, and that a superuser has written on
the account; then the account is tied to the person there, and the address decides nothing more:
it may be another's one day. What is kept is a hash, in allauth's table.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

PROVIDER = "oidc"  # there is one: as whose the ties are kept

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Person:
    """What the provider says. subject: who it is, to the issuer, for ever."""

    issuer: str
    subject: str
    email: str
    verified: bool  # that the address is theirs

    @property
    def key(self) -> str:
        """The same for nobody else, at this provider or another."""
        return hashlib.sha256(f"{self.issuer}\n{self.subject}".encode()).hexdigest()


class NotKnown(ValueError):
    """They may not come in; the sentence says why."""


@transaction.atomic
def account_of(person: Person) -> User:
    """Nobody gets an account by this. Raises NotKnown."""
    tied = User.objects.filter(
        socialaccount__provider=PROVIDER, socialaccount__uid=person.key
    ).first()
    if tied is not None:
        if not tied.is_active:
            raise NotKnown(nobody())
        return tied
    user = _by_address(person)
    ties = SocialAccount.objects.filter(provider=PROVIDER, user=user)
    if ties.filter(uid=person.key).exists():
        return user  # by another tab, meanwhile
    if ties.exists():
        raise NotKnown(
            _("The account with your address belongs to somebody else there. Ask a superuser.")
        )
    SocialAccount.objects.create(provider=PROVIDER, user=user, uid=person.key)
    log.info("Account %d is tied to a person at the provider.", user.pk)
    return user


def _by_address(person: Person) -> User:
    """Locked, so that it is tied once."""
    if not (person.email and person.verified):
        raise NotKnown(_("The provider does not say that your e-mail address is really yours."))
    # The database's idea of upper case finds more than the same address: “ı” is no “i”.
    alike = User.objects.select_for_update().filter(is_active=True, email__iexact=person.email)
    found = [user for user in alike if user.email.casefold() == person.email.casefold()]
    if len(found) != 1:
        raise NotKnown(nobody() if not found else _("Several accounts here have your address."))
    return found[0]


def nobody() -> str:
    return _("There is no account here with your address. Ask who looks after Tagger for one.")


def untie(user: User) -> bool:
    """The next one with the account's address is tied to it. False where there was no tie."""
    deleted, _rows = SocialAccount.objects.filter(provider=PROVIDER, user=user).delete()
    return bool(deleted)
