"""The guarded client: what it reaches, what it refuses, and that neither can be talked round."""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from review import guarded
from review.guarded import Answer, Refusal, fetch, may_be_asked

Answering = Callable[[BaseHTTPRequestHandler], None]
NOT_PUBLIC = "This address cannot be reached, or it is not one of the public internet."


@contextlib.contextmanager
def serving(answer: Answering, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A web server on the loopback; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: Any) -> None:
            pass  # a client that has heard enough

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def say(
    body: bytes = b"Hello.", status: int = 200, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def private(settings: Settings) -> None:
    settings.ALLOW_PRIVATE_URLS = True


def get(url: str, most_bytes: int = 1000, seconds: float = 3) -> Answer:
    return fetch("GET", url, most_bytes=most_bytes, seconds=seconds)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """The name server answers these, one after the other; the last one for ever."""
    left = list(answers)

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


INTERNAL = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192"),
    *("198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "192.88.99.1", "192.0.2.1", "203.0.113.5"),
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),  # mapped, compatible
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1"),  # NAT64
    *("2002:7f00:1::1", "2002:a9fe:a9fe::1"),  # 6to4
    "2001:0:7f00:1::1",  # Teredo, its server
    "2001:0:808:808:0:0:80ff:fffe",  # Teredo, its client: 127.0.0.1, inverted
]
PUBLIC = [
    *("8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1"),
    *("::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
]


@pytest.mark.parametrize("address", INTERNAL)
def test_an_internal_address_may_not_be_asked(address: str) -> None:
    assert not may_be_asked(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_asked(address: str) -> None:
    assert may_be_asked(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fe80::1", "224.0.0.1"]
)
@pytest.mark.usefixtures("private")
def test_no_setting_opens_the_metadata_of_a_cloud(address: str) -> None:
    assert not may_be_asked(ipaddress.ip_address(address))
    assert may_be_asked(ipaddress.ip_address("192.168.1.1"))


@hypothesis_settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_an_address_in_another_form_is_judged_as_itself(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    mapped = ipaddress.IPv6Address(0xFFFF << 32 | number)
    nat64 = ipaddress.IPv6Address(0x64FF9B << 96 | number)
    sixtofour = ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1)
    assert {may_be_asked(one) for one in (mapped, nat64, sixtofour)} == {may_be_asked(plain)}


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://localhost:8000/", "http://0x7f.1/", "http://2130706433/"),
        *("http://017700000001/", "http://[::1]/", "http://[::ffff:7f00:1]/", "http://0/"),
        *("http://127.1:6379/", "http://169.254.169.254/latest/meta-data/"),
        *("http://[fe80::1%25lo]/", "http://no-such-name.invalid/", "http://8.8.8.8:22/"),
        "http://8.8.8.8:0/",
    ],
)
def test_what_is_internal_or_not_there_has_one_refusal(url: str) -> None:
    with pytest.raises(Refusal) as refusal:
        get(url)
    assert str(refusal.value) == NOT_PUBLIC


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/", "//8.8.8.8/", "8.8.8.8"),
        *("http://user:secret@8.8.8.8/", "http:///path", "http://", "", "http://a\nb/"),
        *("javascript:alert(1)", "http://[8.8.8.8/", "http://" + "a" * 100_000),
    ],
)
def test_what_is_no_address_of_a_page_is_refused(url: str) -> None:
    with pytest.raises(Refusal):
        get(url)


@hypothesis_settings(max_examples=500, deadline=None)
@given(st.text())
def test_no_text_makes_it_raise_another_exception(rest: str) -> None:
    for url in (rest, "http://127.0.0.1:1/" + rest, "http://127.0.0.1:1\\" + rest):
        with contextlib.suppress(Refusal):
            get(url, seconds=0.5)


def test_one_internal_address_among_several_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(Refusal, match="not one of the public internet"):
        get("http://both.example/")


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.ALLOW_PRIVATE_URLS = True
    real = socket.getaddrinfo
    asked: list[str] = []

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host == "page.example" else host, *args, **kwargs)

    hosts: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        hosts.append(str(request.headers["Host"]))
        say()(request)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with serving(answer) as port:
        assert get(f"http://page.example:{port}/").body == b"Hello."
    assert asked == ["page.example", "127.0.0.1"]  # the second is a number: it is connected to
    assert hosts == [f"page.example:{port}"]


@pytest.mark.usefixtures("private")
class TestServed:
    def test_an_answer_has_its_status_headers_body_and_address(self) -> None:
        with serving(say(b"Not here.", 404, X_Reason="gone")) as port:
            answer = get(f"http://127.0.0.1:{port}/page?x=1#part")
        assert (answer.status, answer.body) == (404, b"Not here.")
        assert answer.headers["x-reason"] == "gone"
        assert answer.url.startswith(f"http://127.0.0.1:{port}/page?x=1")

    def test_a_post_carries_its_body_and_headers(self) -> None:
        got: list[Any] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            length = int(request.headers["Content-Length"])
            got.append((request.command, request.headers["X-Signed"], request.rfile.read(length)))
            say()(request)

        with serving(answer) as port:
            url = f"http://127.0.0.1:{port}/"
            headers = {"X-Signed": "yes"}
            fetch("POST", url, headers=headers, body=b"{}", most_bytes=100, seconds=3)
        assert got == [("POST", "yes", b"{}")]

    def test_redirects_are_followed_but_not_for_ever(self) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            left = int(request.path[1:])
            say()(request) if not left else say(b"", 302, Location=f"/{left - 1}")(request)

        with serving(answer) as port:
            assert get(f"http://127.0.0.1:{port}/5").url.endswith("/0")
            with pytest.raises(Refusal, match="more than five times"):
                get(f"http://127.0.0.1:{port}/6")

    @pytest.mark.parametrize(
        "location", ["http://169.254.169.254/", "http://[64:ff9b::a9fe:a9fe]/", "http://0.0.0.0/"]
    )
    def test_a_redirect_is_looked_at_like_any_address(self, location: str) -> None:
        with (
            serving(say(b"", 302, Location=location)) as port,
            pytest.raises(Refusal, match="not one of the public internet"),
        ):
            get(f"http://127.0.0.1:{port}/")

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "http://a:b@8.8.8.8/", "http://["])
    def test_a_redirect_to_no_page_is_refused(self, location: str) -> None:
        with serving(say(b"", 302, Location=location)) as port, pytest.raises(Refusal):
            get(f"http://127.0.0.1:{port}/")

    def test_a_post_follows_no_redirect(self) -> None:
        with serving(say(b"", 307, Location="/other")) as port:
            url = f"http://127.0.0.1:{port}/"
            assert fetch("POST", url, body=b"x", most_bytes=100, seconds=3).status == 307

    def test_another_host_is_not_told_the_first_one_s_secret(self) -> None:
        told: list[str | None] = []

        def answer(request: BaseHTTPRequestHandler) -> None:
            told.append(request.headers["Authorization"])
            say()(request)

        with (
            serving(answer) as other,
            serving(say(b"", 302, Location=f"http://127.0.0.1:{other}/")) as first,
        ):
            headers = {"Authorization": "Bearer secret"}
            url = f"http://127.0.0.1:{first}/"
            fetch("GET", url, headers=headers, most_bytes=100, seconds=3)
        assert told == [None]

    def test_too_long_an_answer_is_not_read_to_its_end(self) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    request.wfile.write(b"x" * 65536)

        with serving(answer) as port, pytest.raises(Refusal, match="more than the 1000 bytes"):
            get(f"http://127.0.0.1:{port}/")

    @pytest.mark.parametrize("where", ["headers", "body", "nothing"])
    def test_a_drip_is_cut_off(self, where: str) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            if where == "body":
                request.send_response(200)
                request.send_header("Content-Length", "1000")
                request.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(100):
                    if where != "nothing":
                        request.wfile.write(b"x")
                    time.sleep(0.05)

        with serving(answer) as port:
            began = time.monotonic()
            with pytest.raises(Refusal, match="did not answer in full within"):
                get(f"http://127.0.0.1:{port}/", seconds=0.5)
            assert time.monotonic() - began < 1.5

    def test_a_name_server_that_is_silent_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: threading.Event().wait(5) or [])
        began = time.monotonic()
        with pytest.raises(Refusal):
            get("http://slow.example/", seconds=0.3)
        assert time.monotonic() - began < 1.5

    def test_a_compressed_answer_is_refused(self) -> None:
        with (
            serving(say(b"\x1f\x8b", Content_Encoding="gzip")) as port,
            pytest.raises(Refusal, match="compressed"),
        ):
            get(f"http://127.0.0.1:{port}/")

    @pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n" * 9000])
    def test_what_is_no_web_server_is_one_sentence(self, said: bytes) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()

            def talk() -> None:
                with contextlib.suppress(OSError):
                    connection = listening.accept()[0]
                    connection.sendall(said)
                    connection.close()

            threading.Thread(target=talk, daemon=True).start()
            with pytest.raises(Refusal):
                get(f"http://127.0.0.1:{listening.getsockname()[1]}/")


@pytest.mark.usefixtures("private")
def test_the_certificate_is_checked_for_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed here.")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=good.example"),
            *("-addext", "subjectAltName=DNS:good.example"),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(certificate))
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1", *a, **k))
    with serving(say(), server) as port:
        with pytest.raises(Refusal):  # signed by nobody whom we know
            get(f"https://good.example:{port}/")
        monkeypatch.setattr(guarded, "_tls", lambda: client)
        assert get(f"https://good.example:{port}/").body == b"Hello."
        with pytest.raises(Refusal):
            get(f"https://other.example:{port}/")
