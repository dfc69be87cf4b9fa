"""`make run` when it cannot: what the person at the console reads, and what is left behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from tagger_site import install
from tagger_site.supervise import read_procfile

ROOT = Path(__file__).resolve().parent.parent

# Two programs under the supervisor: one in a hurry to print, one that its child would outlive.
TWO = """
import sys
from pathlib import Path
from tagger_site.supervise import Supervisor, say
commands = {"first": "sh -c 'echo tagger: a title \\\\\\\\033[31m; echo quiet; sleep 600'",
            "second": sys.argv[2]}
sys.exit(Supervisor(commands, Path(sys.argv[1]), {"first"}).run(lambda: say("started")))
"""


class RunCase(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.var = Path(folder.name).resolve() / "var"

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=kept | {"TAGGER_VAR": str(self.var)} | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def refused(self, **environment: str) -> str:
        """What `up` prints when it does not start."""
        done = self.python("-m", "tagger_site.up", **environment)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
        return done.stdout


class CannotStartTests(RunCase):
    def test_a_taken_port_is_named_with_another_to_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            told = self.refused(PORT=str(port))
        self.assertIn(f"Port {port} on 127.0.0.1 is taken", told)
        self.assertIn("make run PORT=", told)

    def test_a_port_that_is_no_number_is_refused(self) -> None:
        self.assertIn("PORT is 'http'", self.refused(PORT="http"))

    def test_a_host_that_this_machine_does_not_have_is_refused(self) -> None:
        self.assertIn("no address '192.0.2.1'", self.refused(HOST="192.0.2.1"))

    def test_a_second_tagger_on_the_same_data_points_to_the_first(self) -> None:
        import fcntl

        self.var.mkdir()
        with (self.var / "up.lock").open("w") as first:
            fcntl.flock(first, fcntl.LOCK_EX)
            first.write("http://127.0.0.1:8000/ (process 123)")
            first.flush()
            told = self.refused(PORT="1025")
        self.assertIn("already runs", told)
        self.assertIn("http://127.0.0.1:8000/ (process 123)", told)

    def test_an_address_of_no_database_is_one_sentence(self) -> None:
        told = self.refused(DATABASE_URL="nonsense://x", REDIS_URL="redis://127.0.0.1:1")
        self.assertIn("DATABASE_URL", told)

    def test_a_database_that_is_away_is_one_sentence(self) -> None:
        away = "postgres://u:secret@127.0.0.1:1/x?connect_timeout=2"
        told = self.refused(DATABASE_URL=away, REDIS_URL="redis://127.0.0.1:1")
        self.assertIn("The database cannot be used", told)
        self.assertNotIn("secret", told)
        self.assertIn("Traceback", (self.var / "log" / "up.log").read_text())

    def test_a_folder_that_is_a_file_is_one_sentence(self) -> None:
        self.var.write_text("")
        self.refused()


class SupervisorTests(RunCase):
    def start(self, second: str) -> subprocess.Popen[str]:
        self.var.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", TWO, str(self.var), second],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Under nohup a hang-up is ignored, by this process and by what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        return process

    def until_logged(self, name: str, text: str) -> str:
        """Wait until a program's log holds the text; return the log."""
        log = self.var / f"{name}.log"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if log.exists() and text in log.read_text():
                return log.read_text()
            time.sleep(0.02)
        raise AssertionError(f"{text!r} is not in {log}")

    def assert_gone(self, pid: int) -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except FileNotFoundError:
                return
            if state == "Z":  # killed, and waiting for whoever adopted it
                return
            time.sleep(0.02)
        self.fail(f"process {pid} is still there")

    def test_news_reaches_the_console_and_the_rest_only_the_log(self) -> None:
        process = self.start("sleep 600")
        self.until_logged("first", "quiet")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        self.assertIn("a title", out)
        self.assertNotIn("\x1b", out)
        self.assertNotIn("quiet", out)

    def test_every_signal_stops_the_programs_and_what_they_started(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signum.name):
                process = self.start("sh -c 'sleep 600 & echo child $!; wait'")
                child = int(self.until_logged("second", "child").split()[1])
                process.send_signal(signum)
                process.communicate(timeout=20)
                self.assertEqual(process.returncode, 0)
                self.assert_gone(child)
                for log in self.var.iterdir():
                    log.unlink()
                self.var.rmdir()

    def test_one_that_dies_stops_the_others_and_its_log_is_named(self) -> None:
        process = self.start("sh -c 'echo broken; exit 3'")
        out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("its second ended by itself (code 3)", out)
        self.assertIn(str(self.var / "second.log"), out)

    @unittest.skipUnless(sys.platform == "linux", "only Linux tells children of a parent's death")
    def test_a_killed_supervisor_takes_its_programs_along(self) -> None:
        process = self.start("sh -c 'echo child $$; exec sleep 600'")
        child = int(self.until_logged("second", "child").split()[1])
        process.kill()
        process.wait()
        self.assert_gone(child)


class InstallTests(RunCase):
    def test_what_pip_printed_becomes_a_sentence_with_a_remedy(self) -> None:
        for printed, told in (
            ("ERROR: [Errno 28] No space left on device", "no space left"),
            ("WARNING: Retrying after NewConnectionError\nERROR: No matching", "cannot be reached"),
            ("ERROR: ResolutionImpossible: x and y", "ResolutionImpossible: x and y"),
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM …", "TAGGER_HASHES=off"),
        ):
            with self.subTest(told):
                self.assertIn(told, install.reason(printed, "packages"))
                self.assertIn("install.log", install.reason(printed, "packages"))

    def test_a_configured_model_server_needs_no_embedded_one(self) -> None:
        script = "from tagger_site import install; print(install.embedded())"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=os.environ | {"OPENAI_BASE_URL": "http://x", "REDIS_URL": "redis://x"},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stdout.strip(), "[]")

    def test_what_is_installed_has_hashes_unless_a_house_builds_it_itself(self) -> None:
        script = "from tagger_site import install; print(install.pinned('requirements.txt')[0])"
        with_hashes = self.python("-c", script).stdout.strip()
        self.assertRegex(with_hashes, r"^amqp==[\d.]+( --hash=sha256:\w{64})+$")
        without = self.python("-c", script, TAGGER_HASHES="off").stdout.strip()
        self.assertRegex(without, r"^amqp==[\d.]+$")

    def test_an_old_python_is_told_which_one_is_needed(self) -> None:
        source = (ROOT / "tagger_site" / "install.py").read_text()
        # Pretend: no old Python is at hand everywhere. That it parses there is the next test.
        script = f"import sys; sys.version_info = (3, 9, 2); exec({source!r})"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Tagger needs Python 3.11 or newer", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_the_installer_parses_on_python_3_6(self) -> None:
        import ast

        source = (ROOT / "tagger_site" / "install.py").read_text()
        ast.parse(source, feature_version=(3, 6))


class ProcfileTests(unittest.TestCase):
    def test_the_parts_are_those_of_the_design(self) -> None:
        parts = read_procfile(ROOT / "Procfile")
        names = ["redis", "model", "worker", "proposer", "trainer", "beat", "web"]
        self.assertEqual(list(parts), names)
