"""The readers: what each makes of its format, of hazards, and of anything at all.

TAGGER_FUZZ=20 makes the fuzz 20 times as long; the last line says how many cases were run.
"""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import subprocess
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review.readers import Incoming, Refused
from review.readers.csv_table import guess_columns, look_at, read_table
from review.readers.git_tree import read_git_trees
from review.readers.guess import Format, guess, read
from review.readers.html_page import read_html
from review.readers.installed_packages import read_installed_packages
from review.readers.json_array import read_json_array
from review.readers.jsonl import read_jsonl
from review.readers.markdown_folder import read_folder, read_text
from review.readers.zip_archive import read_zip

SAMPLES = Path(__file__).resolve().parent / "samples"
TIMES = float(os.environ.get("TAGGER_FUZZ", "1"))
GOOD = {"id": 1, "text": "Words."}

cases: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _count(pytestconfig: pytest.Config) -> Iterator[None]:
    yield
    writer = pytestconfig.get_terminal_writer()
    writer.line()
    writer.line(f"fuzz cases: {sum(cases.values()):,} ({dict(cases)})")


def jsonl(*lines: str | bytes) -> list[Incoming]:
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return list(read_jsonl(io.BytesIO(data), "in.jsonl"))


def array(text: str | bytes) -> list[Incoming]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_json_array(io.BytesIO(data), "in.json"))


def table(rows: str | bytes, /, **columns: str) -> list[Incoming]:
    data = rows if isinstance(rows, bytes) else rows.encode()
    chosen = columns or guess_columns(look_at(io.BytesIO(data)).header)
    return list(read_table(io.BytesIO(data), "in.csv", chosen))


def sample(name: str) -> list[Incoming]:
    with (SAMPLES / name).open("rb") as file:
        kind = guess(name, file.read(100))
        file.seek(0)
        columns = None
        if kind == Format.TABLE:
            columns = guess_columns(look_at(file).header)
            file.seek(0)
        return list(read(kind, file, name, columns))


# --- What each makes of its format -----------------------------------------------


@pytest.mark.parametrize("name", ["articles.jsonl", "articles.json", "articles.csv"])
def test_the_samples_are_read(name: str) -> None:
    found = sample(name)
    assert not any(incoming.problem for incoming in found)
    assert found[0].external_id == "5201"
    if name != "articles.csv":
        assert found[0].title == "A queue for two"
        assert (found[1].external_id, found[1].title) == ("blog/7", "标签")


def test_a_table_knows_its_columns_by_their_names_and_its_lines() -> None:
    data = (SAMPLES / "articles.csv").read_bytes()
    header = look_at(io.BytesIO(data)).header
    assert header == ["Nr", "Überschrift", "Body", "Link"]
    assert guess_columns(header) == {"id": "Nr", "text": "Body", "source": "Link"}
    first, second = table(data, id="Nr", text="Body", title="Überschrift", source="Link")
    assert first.text == 'Two reviewers; one "document".\r\nNever twice.'
    assert (first.title, first.line) == ("A queue for two", 2)
    assert (second.external_id, second.line, second.source) == ("5202", 4, "in.csv:4")
    assert sample("articles.tsv")[1].title == "Queues"


def test_a_table_without_ids_knows_its_rows_by_their_text() -> None:
    one, two, again = table("text\nfirst\nsecond\nfirst\n")
    assert one.external_id == again.external_id != two.external_id


def test_a_page_is_read_without_what_is_around_its_text() -> None:
    (page,) = sample("page.html")
    assert page.title == "Meshes, explained"
    assert page.text.startswith("# Meshes\n\nA mesh has **points**, edges and faces.")
    assert "- points\n- edges" in page.text
    assert "```\nmesh.add(point)\nmesh.close()\n```" in page.text
    assert not any(word in page.text for word in ("alert", "color", "All articles", "somebody"))


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("<p>Grüße</p>".encode(), ""),
        ("<p>Grüße</p>".encode("latin-1"), "iso-8859-1"),
        ("<p>Grüße</p>".encode("latin-1"), ""),
        ('<meta charset="gbk"><p>Grüße 标签</p>'.encode("gb18030"), "gb18030"),
        ('<meta charset="koi8-r"><p>Grüße</p>'.encode(), "utf-8"),  # the server's word counts
    ],
)
def test_a_page_is_read_in_its_encoding(data: bytes, encoding: str) -> None:
    assert "Grüße" in read_html(data, encoding)[0]


def test_other_markup_is_shown_as_it_is() -> None:
    (notes,) = sample("notes.rst")
    assert (notes.title, notes.markup) == ("Notes on queues", "plain")


def test_the_installed_packages_have_readmes_enough() -> None:
    found = list(read_installed_packages())
    assert len(found) >= 30
    assert len({incoming.external_id for incoming in found}) == len(found)
    assert all(len(incoming.text) >= 200 for incoming in found)


def test_the_readmes_of_the_installed_packages_survive_every_format(tmp_path: Path) -> None:
    """Real texts: through JSON lines, JSON, a table and a ZIP they come out as they went in."""
    readmes = {one.external_id: one.text for one in read_installed_packages()}
    rows = [{"id": name, "text": text} for name, text in readmes.items()]
    lines = "\n".join(map(json.dumps, rows))
    assert {one.external_id: one.text for one in jsonl(lines)} == readmes
    assert {one.external_id: one.text for one in array(json.dumps(rows, indent=1))} == readmes
    made = io.StringIO(newline="")
    import csv

    writer = csv.writer(made)
    writer.writerow(["id", "text"])
    writer.writerows(readmes.items())
    assert {one.external_id: one.text for one in table(made.getvalue())} == readmes
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in readmes.items():
            archive.writestr(f"{name}.md", text)
    found = {one.external_id: one.text for one in read_zip(packed, "readmes.zip")}
    assert found == {f"{name}.md": text for name, text in readmes.items()}


def test_working_trees_give_their_readmes(tmp_path: Path) -> None:
    for name, readme in [("a", "README.md"), ("group/b", "readme.rst"), ("none", "other.md")]:
        tree = tmp_path / name
        tree.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", str(tree)], check=True)
        (tree / readme).write_text("# A tree\n\nWords.")
    (tmp_path / "a" / "README.txt").write_text("Another.")
    (tmp_path / "a" / ".git" / "config").write_text(
        '[core]\n[remote "origin"]\n\turl = https://me:secret@example.org/a.git\n'
    )
    (tmp_path / "no-tree").mkdir()
    (tmp_path / "no-tree" / "README.md").write_text("# No tree")
    found = {one.external_id: one for one in read_git_trees(tmp_path)}
    assert set(found) == {"a", "group/b", "none"}
    assert (found["a"].title, found["a"].source) == ("A tree", "https://example.org/a.git")
    assert found["none"].problem == "This working tree has no README."
    (alone,) = read_git_trees(tmp_path / "a")
    assert alone.external_id == "a"


def test_a_folder_gives_no_link_and_nothing_hidden(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("Secret.")
    folder = tmp_path / "folder"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "notes.md").write_text("Hidden.")
    (folder / "a.md").write_text("Words.")
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "linked").symlink_to(outside)
    os.mkfifo(folder / "pipe.md")
    assert [one.external_id for one in read_folder(folder)] == ["a.md"]


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.jsonl", b"", Format.JSONL),
        ("a.JSON", b"[", Format.JSON),
        ("a.csv", b"id,text", Format.TABLE),
        ("README.md", b"# x", Format.TEXT),
        ("README", b"# x", Format.TEXT),
        ("data", b'{"id": 1', Format.JSONL),
        ("data", b'\xef\xbb\xbf [{"id"', Format.JSON),
        ("a.md", b"PK\x03\x04", Format.ZIP),
    ],
)
def test_the_format_is_guessed(name: str, head: bytes, kind: Format) -> None:
    assert guess(name, head) == kind


# --- Hazards ----------------------------------------------------------------------

DEEP = '{"id": 1, "text": "x", "more": ' + "[" * 100 + "]" * 100 + "}"
HAZARDS = [
    (b'{"id": 1, "text": "\xff"}', "byte 20 is not UTF-8"),
    (b'{"id": 1, "text": "a\0b"}', "NUL"),
    ('{"id": 1, "text": "a\\u0000b"}', "“text” has a NUL, as character 2."),
    ('{"id": 1, "text": "a\\ud800"}', "“text” has half a character"),
    ('{"id": "\\udfff", "text": "a"}', "“id” has half a character"),
    (DEEP, "More than 50 lists and objects"),
    ("[" * 100_000, "More than 50 lists and objects"),
    ('{"id": 1, "text": "x", "n": NaN}', "NaN is not JSON"),
    ('{"id": 1, "text": "x", "n": -Infinity}', "-Infinity is not JSON"),
    ('{"id": 1, "id": 2, "text": "x"}', "“id” is there twice."),
    ('{"id": 1, "text": "x", "m": {"a": 1, "a": 1}}', "“a” is there twice."),
    ('{"id": ' + "9" * 5000 + ', "text": "x"}', "A number has 5000 digits."),
    ('{"id": 1}', "“text” is missing."),
    ('{"text": "x"}', "“id” is missing."),
    ('{"id": "", "text": "x"}', "“id” is empty."),
    ('{"id": true, "text": "x"}', "“id” is not a text."),
    ('{"id": 1.5, "text": "x"}', "“id” is not a text."),
    ('{"id": "' + "i" * 501 + '", "text": "x"}', "“id” has more than 500 characters."),
    ('{"id": 1, "text": ["x"]}', "“text” is not a text."),
    ('{"id": 1, "text": "x", "title": {}}', "“title” is not a text."),
    ('{"id": 1, "text": "x"', "This is not JSON: "),
    ('"text"', "This is not a JSON object."),
    ("nonsense", "This is not JSON: "),
]


@pytest.mark.parametrize(("bad", "problem"), HAZARDS)
def test_a_hazard_is_the_problem_of_its_row_and_no_other(bad: str | bytes, problem: str) -> None:
    good = json.dumps(GOOD)
    before, row, after = jsonl(good, bad, good)
    assert problem in row.problem
    assert (row.text, row.line) == ("", 2)
    assert not before.problem
    assert not after.problem


@pytest.mark.parametrize(
    ("bad", "problem"), [one for one in HAZARDS if one[1] != "This is not JSON: "][:-1]
)
def test_in_a_list_too(bad: str | bytes, problem: str) -> None:
    if bad == "[" * 100_000:
        bad = b"[" * 100_000 + b"]" * 100_000
    data = bad if isinstance(bad, bytes) else bad.encode()
    before, row, after = array(b'[{"id": 1, "text": "x"},\n' + data + b',\n{"id": 2, "text": "x"}]')
    assert problem in row.problem
    assert (row.line, after.line) == (2, 3)
    assert not before.problem
    assert not after.problem


def test_a_list_that_is_cut_off_says_so_of_its_last_object() -> None:
    good, bad = array('[{"id": 1, "text": "x"}, {"id": 2, "te')
    assert not good.problem
    assert "This is not JSON" in bad.problem


@pytest.mark.parametrize("text", ["", " \n", "[]", "[ ]\n"])
def test_a_list_of_nothing_gives_nothing(text: str) -> None:
    assert array(text) == []


def test_a_list_is_read_alike_however_it_is_cut_into_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = (SAMPLES / "articles.json").read_bytes()
    whole = array(data)
    for size in (1, 2, 3, 7):
        monkeypatch.setattr("review.readers.json_array.CHUNK", size)
        assert array(data) == whole


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"1,\xff", "byte 3 is not UTF-8"),
        (b"1,a\0b", "NUL"),
        (b"1,a,b", "The row has 3 columns, and the header has 2."),
        (b"1", "“text” is missing."),
        (b",a", "“id” is empty."),
    ],
)
def test_a_bad_row_of_a_table_is_the_problem_of_its_line(row: bytes, problem: str) -> None:
    found = table(b"id,text\n0,first\n" + row + b"\n2,last\n", id="id", text="text")
    assert [one.line for one in found] == [2, 3, 4]
    assert problem in found[1].problem
    assert [found[0].text, found[2].text] == ["first", "last"]


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\xff\xfei\0d\0", b"id,id\n", b"\xff,\xfe\n", b"a," * 2000 + b"b\n"]
)
def test_a_table_without_a_header_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        table(data)


def test_a_quote_that_is_never_closed_costs_no_more_than_one_row_may_have() -> None:
    rows = b"".join(b"%d,words\n" % number for number in range(5000))
    data = b'id,text\n0,"open\n' + rows
    found = list(read_table(io.BytesIO(data), "x", {"id": "id", "text": "text"}, 1000))
    assert found[0].problem
    assert sum(not one.problem for one in found) > 4800


GIGABYTE = 1_000_000_000


class Endless(io.RawIOBase):
    """`head`, then so many bytes of one line, then `tail`."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self.head, self.tail, self.left = io.BytesIO(head), io.BytesIO(tail), size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if read := self.head.readinto(buffer):
            return read
        if self.left:
            size = min(self.left, len(buffer))
            buffer[:size] = b"x" * size
            self.left -= size
            return size
        return self.tail.readinto(buffer)


@pytest.mark.parametrize(
    ("reader", "head", "tail", "size"),
    [
        (read_jsonl, b'{"id": 1, "text": "', b'"}\n{"id": 2, "text": "after"}', GIGABYTE),
        (read_json_array, b'[{"id": 1, "text": "', b'"}, {"id": 2, "text": "after"}]', 10**8),
        (read_table, b'id,text\n1,"', b'"\n2,after\n', GIGABYTE),
    ],
)
def test_a_line_of_a_gigabyte_is_never_held(
    reader: Callable[..., Iterator[Incoming]], head: bytes, tail: bytes, size: int
) -> None:
    file = io.BufferedReader(Endless(head, tail, size), 1 << 20)
    columns = {"id": "id", "text": "text"}
    tracemalloc.start()
    try:
        long, after = reader(file, "long", columns, 2_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more than 2 MB" in long.problem
    assert (after.external_id, after.text) == ("2", "after")
    assert peak < 20_000_000


# --- Archives ---------------------------------------------------------------------


def packed(*names: str, data: bytes = b"Words.", **attributes: Any) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in attributes.items():
                setattr(member, attribute, value)
            archive.writestr(member, data)
    return file


def refusal_of(file: io.BytesIO) -> str:
    with pytest.raises(Refused) as refused:
        list(read_zip(file, "in.zip"))
    return str(refused.value)


def test_an_archive_is_read_but_for_what_is_no_text_or_hidden() -> None:
    names = ("b/a.md", "a.txt", "x.html", "picture.png", ".hidden.md", "__MACOSX/a.md", "folder/")
    found = list(read_zip(packed(*names), "in.zip"))
    assert [one.external_id for one in found] == ["a.txt", "b/a.md", "x.html"]
    assert found[0].source == "in.zip/a.txt"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *(("../a.md", "leads out"), ("a/../../b.md", "leads out"), ("/etc/a.md", "leads out")),
        *(("..\\a.md", "leads out"), ("C:\\a.md", "leads out"), ("C:/a.md", "leads out")),
        *(("a.zip", "an archive in"), ("x/a.tar.gz", "an archive in"), ("a.JAR", "an archive in")),
    ],
)
def test_an_archive_with_such_a_name_is_refused(name: str, reason: str) -> None:
    told = refusal_of(packed("good.md", name))
    assert reason in told
    assert told.startswith("The archive was not unpacked: ")


def test_an_archive_with_a_link_is_refused() -> None:
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        file = packed("a.md", data=b"/etc/passwd", external_attr=(kind | 0o777) << 16)
        assert "is a link" in refusal_of(file)


def test_an_archive_that_is_a_bomb_is_refused() -> None:
    assert "more than 1000:1" in refusal_of(packed("a.md", data=b"\0" * 100_000_000))


def lying(file: io.BytesIO, sizes: int) -> io.BytesIO:
    """The same archive, whose table of contents says that its file has so many bytes."""
    data = bytearray(file.getvalue())
    place = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, place + 24, sizes)
    return io.BytesIO(bytes(data))


def test_a_file_is_unpacked_no_further_than_the_table_of_contents_says() -> None:
    file = packed("a.md", data=b"x" * 50_000_000)
    tracemalloc.start()
    (found,) = read_zip(lying(file, 1000), "in.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.problem or len(found.text) <= 1000
    assert peak < 5_000_000


def test_an_archive_of_too_many_or_too_large_files_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("review.readers.zip_archive.MOST_MEMBERS", 10)
    assert "it has 11 files" in refusal_of(packed(*(f"{n}.md" for n in range(11))))
    monkeypatch.setattr("review.readers.zip_archive.LARGEST_MEMBER", 5)
    assert "has 0 GB" in refusal_of(packed("a.md"))
    monkeypatch.setattr("review.readers.zip_archive.MOST_UNPACKED", 5)
    assert "in all" in refusal_of(packed("a.md"))
    monkeypatch.setattr("review.readers.zip_archive.MOST_AT_ONCE", 30)
    assert "table of contents is too long" in refusal_of(packed("a.md"))


def test_an_archive_whose_files_overlap_is_refused() -> None:
    """As in the bombs that have one packed file many times."""
    data = packed("a.md", "b.md", data=os.urandom(1000)).getvalue()
    second = data.rindex(b"PK\x01\x02")
    overlapping = bytearray(data)
    struct.pack_into("<L", overlapping, second + 42, 0)  # it begins where the first one does
    assert "its files overlap" in refusal_of(io.BytesIO(bytes(overlapping)))


def test_an_archive_that_is_encrypted_twice_named_or_oddly_packed_is_refused() -> None:
    data = bytearray(packed("a.md").getvalue())
    struct.pack_into("<H", data, data.rindex(b"PK\x01\x02") + 8, 1)
    assert "is encrypted" in refusal_of(io.BytesIO(bytes(data)))
    with pytest.warns(UserWarning, match="Duplicate name"):
        assert "the same name" in refusal_of(packed("a.md", "a.md"))
    assert "unusual way" in refusal_of(packed("a.md", compress_type=zipfile.ZIP_LZMA))


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"PK\x03\x04 no archive", b"x" * 100])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    assert "not a ZIP archive" in refusal_of(io.BytesIO(data))


def test_a_broken_file_in_an_archive_is_its_own_problem() -> None:
    data = bytearray(packed("a.md", "b.md", data=b"Words." * 100).getvalue())
    data[40] ^= 0xFF  # within the first one's packed text
    first, second = read_zip(io.BytesIO(bytes(data)), "in.zip")
    assert "cannot be unpacked" in first.problem
    assert not second.problem


# --- Anything at all --------------------------------------------------------------


def fuzzed(examples: int) -> Callable[[Any], Any]:
    return hypothesis_settings(
        max_examples=round(examples * TIMES),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def check(name: str, reader: Callable[[], Iterator[Incoming]]) -> None:
    """Only documents and problems come out, and a database can keep them."""
    cases[name] += 1
    try:
        found = list(reader())
    except Refused:
        return
    for one in found:
        told = (one.external_id, one.text, one.title, one.source, one.problem, one.field)
        for value in told:
            value.encode()
            assert "\0" not in value
        assert one.external_id or one.problem
        assert not (one.problem and one.text)
        assert one.markup in ("markdown", "plain")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "text", "title", "source", "other"), JSON_VALUES)
)
PIECES = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u0000", b"\\ud800", b"\n", b"\r\n"),
        *(b"NaN", b"1e999", b"-", b"\xff", b"\0", b"\xef\xbb\xbf", b" ", b";", b"\t", b"|", b"'"),
        *(
            b'"id"',
            b'"text"',
            b"id",
            b"text",
            b"1",
            b"<p>",
            b"</p>",
            b"<!--",
            b"<![CDATA[",
            b"&#0;",
        ),
        *(
            b"&#xD800;",
            b"<table><td>",
            b"<pre>",
            b"<script>",
            b"<title>",
            b"===",
            b"# ",
            b"PK\x03\x04",
        ),
        *(
            b'{"id": 1, "text": "x"}',
            b"<ol start=9999999999999999999999><li>",
            b'<td colspan="9e9">',
        ),
    ]
)
BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join),
    st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")),
)
MOST = st.sampled_from([1, 10, 100, 8_000_000])


def in_json(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=True).encode()


@fuzzed(150)
@given(st.lists(ROWS.map(in_json) | BYTES, max_size=6).map(b"\n".join), MOST)
def test_no_json_lines_make_it_raise(data: bytes, most: int) -> None:
    check("jsonl", lambda: read_jsonl(io.BytesIO(data), "in.jsonl", most_bytes=most))


@fuzzed(150)
@given(
    st.one_of(
        BYTES,
        st.lists(ROWS.map(in_json) | BYTES, max_size=6).map(
            lambda rows: b"[" + b",".join(rows) + b"]"
        ),
    ),
    MOST,
)
def test_no_json_makes_it_raise(data: bytes, most: int) -> None:
    check("json", lambda: read_json_array(io.BytesIO(data), "in.json", most_bytes=most))


@fuzzed(50)
@given(st.lists(ROWS, max_size=6), st.sampled_from([None, 1, 4]))
def test_json_lines_and_a_list_are_read_alike(rows: list[Any], indent: int | None) -> None:
    cases["alike"] += 1
    plain = jsonl(*(json.dumps(row) for row in rows))
    listed = array(json.dumps(rows, indent=indent))

    def told(found: list[Incoming]) -> list[Any]:
        return [(one.external_id, one.text, one.title, bool(one.problem)) for one in found]

    assert told(plain) == told(listed)


@fuzzed(150)
@given(st.sampled_from([b"", b"id,text\n", b"id;text\r\n", b"id\ttext\n"]), BYTES, MOST)
def test_no_table_makes_it_raise(header: bytes, rows: bytes, most: int) -> None:
    def reader() -> Iterator[Incoming]:
        columns = guess_columns(look_at(io.BytesIO(header + rows), most_bytes=most).header)
        return read_table(io.BytesIO(header + rows), "in.csv", columns, most)

    check("table", reader)


@fuzzed(100)
@given(BYTES, st.sampled_from(["", "utf-8", "utf-16", "punycode", "nonsense", "gbk", "zlib"]))
def test_no_page_makes_it_raise(data: bytes, encoding: str) -> None:
    def reader() -> Iterator[Incoming]:
        text, title, problem = read_html(data, encoding)
        return iter([Incoming("page", text, title=title, problem=problem)])

    check("html", reader)


@fuzzed(100)
@given(BYTES, st.sampled_from(["a.md", "b.rst", "c.txt", "d.html", "e"]))
def test_no_file_makes_it_raise(data: bytes, name: str) -> None:
    check("file", lambda: iter([read_text(data, name)]))


@fuzzed(100)
@given(
    st.lists(st.text(min_size=1, max_size=10), max_size=4, unique=True),
    BYTES,
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 200),
    MOST,
)
def test_no_archive_makes_it_raise(
    names: list[str], data: bytes, changes: list[tuple[int, int]], cut: int, most: int
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name.encode(errors="replace").decode() + ".md"), data)
    changed = bytearray(file.getvalue())
    for place, value in changes:
        changed[place % len(changed)] = value
    broken = bytes(changed[: len(changed) - (cut if cut < 20 else 0)])
    check("zip", lambda: read_zip(io.BytesIO(broken), "in.zip", most))


@fuzzed(100)
@given(st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.zip", "a.md", "a.html", "a"]), BYTES, MOST)
def test_nothing_that_is_uploaded_makes_it_raise(name: str, data: bytes, most: int) -> None:
    kind = guess(name, data[:1000])
    check("upload", lambda: read(kind, io.BytesIO(data), name, None, most))


@fuzzed(30)
@given(config=BYTES, readme=BYTES)
def test_no_working_tree_makes_it_raise(
    tmp_path_factory: pytest.TempPathFactory, config: bytes, readme: bytes
) -> None:
    tree = tmp_path_factory.mktemp("tree")
    (tree / ".git").mkdir()
    (tree / ".git" / "config").write_bytes(b'[remote "origin"]\nurl = ' + config)
    (tree / "README.md").write_bytes(readme)
    check("git", lambda: read_git_trees(tree))
