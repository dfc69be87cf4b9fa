"""What the tests run on: a database, a Redis of their own, and a model server that is a fake.

SQLite by default, PostgreSQL with TEST_DATABASE_URL. With CI=true nothing may be missing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# Before Django's settings are read (so they are not named in pyproject.toml, from where
# pytest-django reads them too early): the tests have their own of everything.
ROOT = Path(__file__).resolve().parent.parent
VAR = Path(tempfile.mkdtemp(prefix="tagger-test-"))
for name in (
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
    "TAGGER_MODEL",
    "TAGGER_EMBEDDED_URL",
    "REDIS_URL",
):
    os.environ.pop(name, None)
os.environ["DJANGO_SETTINGS_MODULE"] = "tagger_site.settings"
os.environ["TAGGER_VAR"] = str(VAR)
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{VAR}/db.sqlite3"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps a loop in the test's thread
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    REDIS_PORT = probe.getsockname()[1]
os.environ["REDIS_URL"] = f"redis://127.0.0.1:{REDIS_PORT}/0"

import pytest  # noqa: E402
from pytest_django import Settings  # noqa: E402

from tagger_site.embedded_redis import find_server  # noqa: E402

from .fake_model import FakeModel  # noqa: E402
from .tampering import let_tests_be_emptied  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    if config.getoption("numprocesses", None):
        # This process only hands tests to others (-n). Each has a database, a Redis and a folder
        # of its own, from this file; it must not find the settings made already.
        del os.environ["DJANGO_SETTINGS_MODULE"]
        return

    let_tests_be_emptied()
    # The hashed names of production need a collectstatic first.
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.WHITENOISE_AUTOREFRESH = True
    settings.WHITENOISE_USE_FINDERS = True
    # Argon2 is slow by design; the tests sign in often.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_unconfigure() -> None:
    shutil.rmtree(VAR, ignore_errors=True)


def needed(what: str, found: str | None) -> str:
    """The thing, or a skipped test where it is missing; in CI its absence is a failure."""
    if found:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must have it.")
    pytest.skip(f"{what} is not installed here.")


@pytest.fixture(scope="session", autouse=True)
def redis_server() -> Iterator[str]:
    """A Redis on a free port of the loopback, for this run only."""
    process = subprocess.Popen(
        [
            needed("redis-server", find_server()),
            *("--port", str(REDIS_PORT), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(VAR)),
        ],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", REDIS_PORT)) == 0:
                break
        time.sleep(0.02)
    yield os.environ["REDIS_URL"]
    process.terminate()
    process.wait()


@pytest.fixture
def model(settings: Settings) -> Iterator[FakeModel]:
    """A configured endpoint: a fake server that speaks real HTTP."""
    from review.pipeline import learn, served

    fake = FakeModel()
    settings.OPENAI_BASE_URL = fake.url
    settings.OPENAI_API_KEY = "sk-test"
    settings.TAGGER_MODEL = "fake"
    settings.MODEL_DEADLINE = 3
    yield fake
    served.forget()  # what was learned of it, and its row
    learn.forget()
    fake.close()
