"""`make smoke`: the last commit, cloned to an empty folder, from `make run` to a DPO pair.

Standard library only: it stands where a new user stands, with a browser's means.
Prints what it measured; ends with 1 and one sentence at the first thing that is wrong.
"""

import contextlib
import http.cookiejar
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
FIRST_CANDIDATES = 240.0  # seconds from typing `make run`, downloads included
AFTER_MODEL = 25.0  # seconds from the model server being up to the first candidates
SECOND_START = 120  # seconds; 7 on a free machine before the models were served side by side
STOP = 40.0  # seconds: the document in work may finish

PICKED = """
import json
from review.models import Candidate
chosen = Candidate.objects.get(pk=%d)
names = lambda candidate: sorted(tag.name for tag in candidate.tags)
others = chosen.proposal.candidates.exclude(pk=chosen.pk)
document = chosen.proposal.document
print(json.dumps([document.external_id, names(chosen), [names(other) for other in others]]))
"""  # what the database says of a pick

T = TypeVar("T")


class Wrong(Exception):
    """Something is not as promised."""


class PickForms(HTMLParser):
    """The hidden fields of each form that posts to /candidates/<id>/choose, by action."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self.csrf = ""
        self.action = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found.get("action", "")
            if re.fullmatch(r"/candidates/\d+/choose", self.action):
                self.forms[self.action] = {}
        elif tag == "input" and found.get("name"):
            if found["name"] == "csrfmiddlewaretoken":
                self.csrf = found.get("value", "")
            if self.action in self.forms:
                self.forms[self.action][found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.action = ""


class Browser:
    """Keeps cookies and follows redirects, and runs no script."""

    def __init__(self, base: str) -> None:
        self.base = base
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
        self.at = base

    def open(self, path: str, fields: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(fields).encode() if fields is not None else None
        request = urllib.request.Request(urllib.parse.urljoin(self.at, path), data)
        request.add_header("Referer", self.at)
        try:
            with self.opener.open(request, timeout=30) as response:
                self.at = response.url
                body: bytes = response.read()
                return body.decode()
        except urllib.error.HTTPError as error:
            raise Wrong(
                f"{request.get_method()} {request.full_url} answered {error.code}"
            ) from error


class Run:
    """One `make run` in the clone, its console kept with the time of each line."""

    def __init__(self, clone: Path, environment: dict[str, str]) -> None:
        self.started = time.time()
        self.lines: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.time() - self.started, line.rstrip()))
            print(f"  {time.time() - self.started:6.1f} s  {line}", end="", flush=True)

    def wait_for(self, what: str, seconds: float, found: Callable[[], T | None]) -> T:
        """Wait until `found` returns something, and return it."""
        while True:
            value = found()
            if value is not None:
                return value
            if self.process.poll() is not None:
                raise Wrong(f"`make run` ended (code {self.process.returncode}) before {what}")
            if time.time() - self.started > seconds:
                raise Wrong(f"no {what} within {seconds:.0f} s of `make run`")
            time.sleep(0.1)

    def line(self, pattern: str) -> float | None:
        """When the first line that matches was printed, in seconds after the start."""
        return next((at for at, text in self.lines if re.search(pattern, text)), None)

    def stop(self, send: Callable[[], None]) -> float:
        """Stop it by a signal; return how long it took."""
        began = time.time()
        send()
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            raise Wrong(f"`make run` still runs {STOP:.0f} s after the signal") from None
        return time.time() - began


def answers(url: str) -> Callable[[], float | None]:
    def found() -> float | None:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
                return time.time()
        except (OSError, urllib.error.URLError):
            return None

    return found


def processes(folder: Path) -> dict[int, str]:
    """The processes that have to do with the folder: by command, folder or environment."""
    needle = str(folder).encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            cwd = os.readlink(entry / "cwd").encode()
            if needle in command + b"\0" + cwd + b"\0" + (entry / "environ").read_bytes():
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile, or is not ours to see
    return found


def check_nothing_left(clone: Path) -> None:
    time.sleep(0.3)
    if left := processes(clone):
        raise Wrong(f"after the stop these processes are left: {left}")


def role(command: str) -> str:
    for words, name in (
        ("redis-server", "redis"),
        ("serve_model", "model"),
        ("review.llm.local_server", "llama"),
        (" worker ", "worker"),
        (" beat ", "beat"),
        ("gunicorn", "web"),
        ("tagger_site.up", "supervisor"),
    ):
        if words in command:
            return name
    return "other"


def memory(pid: int) -> tuple[float, float]:
    """RSS and PSS (shared pages divided among their users) in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE) for key in ("Rss", "Pss"))
    assert rss
    assert pss
    return int(rss[1]) / 1024, int(pss[1]) / 1024


def folder_size(folder: Path) -> float:
    """MB on the disk."""
    blocks = (p.lstat().st_blocks for p in folder.rglob("*"))
    return sum(blocks) * 512 / 1e6


def check_tree(clone: Path) -> None:
    """Nothing was written outside var/ and .venv/."""
    command = ["git", "status", "--porcelain", "--ignored"]
    status = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    other = [line for line in status.stdout.splitlines() if line not in ("!! .venv/", "!! var/")]
    if other:
        raise Wrong(f"`make run` wrote outside var/ and .venv/: {other}")


def model_up(clone: Path) -> float | None:
    """When the model server first answered, from the supervisor's log."""
    text = (clone / "var" / "log" / "up.log").read_text()
    found = re.search(r" (\d+\.\d+) \S+/health answers", text)
    return float(found[1]) if found else None


def manage(clone: Path, environment: dict[str, str], *arguments: str) -> str:
    command = [".venv/bin/python", "manage.py", *arguments]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def sign_in(browser: Browser, password: str) -> str:
    form = PickForms(browser.open("/"))
    if not form.csrf:
        raise Wrong("a visitor who is signed out does not get the sign-in page at /")
    fields = {"username": "admin", "password": password, "csrfmiddlewaretoken": form.csrf}
    browser.open(browser.at, fields)
    return browser.open("/")


def pick(browser: Browser, page: str) -> int:
    """Choose the first set shown; return its candidate's id."""
    forms = PickForms(page).forms
    if len(forms) < 2:
        raise Wrong(f"the page at / shows {len(forms)} candidates to choose from")
    action, fields = next(iter(forms.items()))
    after = PickForms(browser.open(action, fields)).forms
    if set(after) & set(forms):
        raise Wrong("after the pick the same document is still there")
    return int(action.split("/")[2])


def check_export(clone: Path, environment: dict[str, str], candidate: int, browser: Browser) -> int:
    """The pairs are those of the one pick; return how many there are."""
    known = json.loads(manage(clone, environment, "shell", "-v0", "-c", PICKED % candidate))
    external_id, chosen, passed_over = known
    lines = manage(clone, environment, "export_preferences").splitlines()
    pairs = [json.loads(line) for line in lines]
    if len(pairs) != len(passed_over):
        raise Wrong(f"{len(pairs)} pairs were exported, and {len(passed_over)} sets passed over")
    for pair in pairs:
        roles = [m["role"] for m in pair["prompt"]]
        if roles[-1] != "user" or len(pair["chosen"]) != 1 or len(pair["rejected"]) != 1:
            raise Wrong(f"a pair is not in TRL's conversational columns: {str(pair)[:300]}")
        if said(pair["chosen"]) != chosen or said(pair["rejected"]) not in passed_over:
            raise Wrong(f"a pair does not hold the pick: {pair['chosen']} / {pair['rejected']}")
    answer = json.loads(browser.open(f"/documents/{urllib.parse.quote(external_id, safe='')}.json"))
    if answer["id"] != external_id or sorted(t["name"] for t in answer["tags"]) != chosen:
        raise Wrong(f"/documents/{external_id}.json says {answer}, and {chosen} was picked")
    print(f"  picked for {external_id}: {chosen}; passed over: {passed_over}")
    return len(pairs)


def said(messages: list[dict[str, str]]) -> list[str]:
    tags = json.loads(messages[0]["content"])["tags"]
    return sorted(t["name"] if isinstance(t, dict) else t for t in tags)


def smoke(clone: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = secrets.token_urlsafe(12)
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    environment = {k: v for k, v in os.environ.items() if k in kept or k.startswith("PIP_")}
    environment |= {
        "PORT": str(port),
        "TAGGER_ADMIN_PASSWORD": password,
        "PYTHONDONTWRITEBYTECODE": "1",  # for our own manage.py calls; `make run` sets its own
    }
    base = f"http://127.0.0.1:{port}/"
    figures: list[tuple[str, str]] = []

    print("First `make run`")
    run = Run(clone, environment)
    try:
        at = run.wait_for("answer from the web server", FIRST_CANDIDATES, answers(base))
        figures.append(("sign-in page, from `make run`", f"{at - run.started:.1f} s"))
        first = run.wait_for("candidates", FIRST_CANDIDATES, lambda: run.line(r"three candidates"))
        figures.append(("first three candidates, from `make run`", f"{first:.1f} s"))
        up = run.wait_for("model server", FIRST_CANDIDATES, lambda: model_up(clone))
        since_model = run.started + first - up
        figures.append(("first three candidates, from model up", f"{since_model:.1f} s"))
        if since_model > AFTER_MODEL:
            raise Wrong(f"the first candidates came {since_model:.0f} s after the model was up")
        run.wait_for(  # so that there is a next document after the pick
            "second candidates",
            FIRST_CANDIDATES + 60,
            lambda: len([1 for _, text in run.lines if "candidates" in text]) > 1 or None,
        )
        browser = Browser(base)
        candidate = pick(browser, sign_in(browser, password))
        pairs = check_export(clone, environment, candidate, browser)
        figures.append(("preference pairs of one pick", str(pairs)))
        for pid, command in sorted(processes(clone).items()):
            if command and role(command) != "other":
                rss, pss = memory(pid)
                figures.append(
                    (f"memory of {role(command)} ({pid})", f"{pss:.0f} MB ({rss:.0f} RSS)")
                )
        took = run.stop(run.process.terminate)
        figures.append(("SIGTERM to make, until stopped", f"{took:.1f} s"))
        check_nothing_left(clone)
    finally:
        end(run, clone)

    print("Second `make run`")
    run = Run(clone, environment)
    try:
        at = run.wait_for("answer from the web server", SECOND_START, answers(base))
        figures.append(("sign-in page, from second `make run`", f"{at - run.started:.1f} s"))
        if at - run.started > SECOND_START:
            raise Wrong(f"a second `make run` answers only after {at - run.started:.1f} s")
        browser = Browser(base)
        sign_in(browser, password)
        check_export(clone, environment, candidate, browser)
        took = run.stop(lambda: os.killpg(run.process.pid, signal.SIGINT))
        figures.append(("Ctrl-C, until stopped", f"{took:.1f} s"))
        check_nothing_left(clone)
    finally:
        end(run, clone)

    check_tree(clone)
    figures.append(("size of .venv", f"{folder_size(clone / '.venv'):.0f} MB"))
    figures.append(("size of var", f"{folder_size(clone / 'var'):.0f} MB"))
    width = max(len(what) for what, _ in figures)
    print("\nMeasured:")
    for what, figure in figures:
        print(f"  {what.ljust(width)}  {figure}")


def end(run: Run, clone: Path) -> None:
    """Leave nothing running, whatever happened."""
    if run.process.poll() is None:
        run.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(STOP)
    for pid in processes(clone):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.process.wait()


def show_logs(clone: Path) -> None:
    for log in sorted((clone / "var" / "log").glob("*.log")):
        print(f"--- the end of {log.name}")
        print("\n".join(log.read_text(errors="replace").splitlines()[-25:]))


def main() -> int:
    # realpath: /proc shows folders without links
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="tagger-smoke-")))
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(143))  # so that finally runs
    try:
        smoke(folder / "clone")
    except (Wrong, subprocess.CalledProcessError) as error:
        show_logs(folder / "clone")
        print(f"\nThe smoke test failed: {error}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\nThe smoke test passed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
