"""The tag list from files and as files: previewed, its bad rows listed, hostile files refused."""

from __future__ import annotations

import io
import json
import random
import re
import tempfile
import zipfile
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from review.models import Project, Role, Tag, VocabularyChange
from review.pipeline.first_start import SEED
from review.pipeline.tag_list import FORMATS, export
from review.pipeline.vocabulary import Fields, read
from review.readers import Refused
from review.readers.tag_file import ENDINGS, read_tags
from review.writers.tag_file import ListedTag

from .base import HouseTestCase

HEADER = "id,name,description,not_for,synonyms,parent,retired,merged_into\n"
AWKWARD = [
    Fields("=HYPERLINK(1)", "+1 for it", "-not this", ("@home", "'=quoted", "'plain")),
    Fields("日本語 タグ", "“quotes”, commas; and <b>", 'say "no"', ("ünïcode", "a, b")),
    Fields("retired one", retired=True),
    Fields("merged one", merged_into=1001),
    Fields("below", parent=1001),
]


class Files(HouseTestCase):
    carol: User

    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.curator = Client()
        self.curator.force_login(self.carol)
        self.url = f"/admin/review/tag/of/{self.project.pk}/import/"

    def bring(self, data: bytes | str, name: str, **fields: str) -> str:
        content = data.encode() if isinstance(data, str) else data
        fields = {**fields, "file": ContentFile(content, name)}  # type: ignore[dict-item]
        return self.curator.post(self.url, fields).content.decode()

    def go_on(self, html: str, **fields: str) -> str:
        """Press the button below what is shown, with what the page carries."""
        form = re.findall(r'class="confirm">.*?</form>', html, flags=re.S)[0]
        carried = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        return self.curator.post(self.url, {**carried, **fields}, follow=True).content.decode()

    def awkward(self) -> None:
        for number, fields in enumerate(AWKWARD, start=1001):
            Tag.objects.create(
                project=self.project,
                number=number,
                name=fields.name,
                description=fields.description,
                not_for=fields.not_for,
                synonyms=list(fields.synonyms),
                retired_at="2026-01-01T00:00Z" if fields.retired else None,
            )
        one = self.project.tags.get(number=1001)
        self.project.tags.filter(number=1004).update(merged_into=one)
        self.project.tags.filter(number=1005).update(parent=one)


class TheSeed(Files):
    def test_makes_the_90_tags_of_an_empty_list(self) -> None:
        self.project = Project.objects.create(name="Empty")
        self.carol.memberships.update(project=self.project)
        self.url = f"/admin/review/tag/of/{self.project.pk}/import/"
        html = self.bring((SEED / "vocabulary.json").read_bytes(), "vocabulary.json")
        self.assertIn("Nothing is saved yet", html)
        self.assertFalse(self.project.tags.exists())
        self.go_on(html, confirm="1")
        self.assertEqual(self.project.tags.active().count(), 90)
        self.assertEqual(self.project.tags.get(number=77).name, "3d")
        self.assertFalse(self.project.tags.filter(name__endswith=" ").exists())
        self.assertEqual(VocabularyChange.objects.get().verb, "import")

    def test_brought_again_says_that_nothing_would_change(self) -> None:
        html = self.bring((SEED / "vocabulary.json").read_bytes(), "vocabulary.json")
        self.assertIn("Nothing would change: 90 tags", html)

    def test_leaves_what_it_does_not_say(self) -> None:
        self.project.tags.filter(number=77).update(description="Three", synonyms=["3-d"])
        html = self.bring('[{"id": 77, "name": "3D "}]', "some.json")
        self.go_on(html, confirm="1")
        tag = self.project.tags.get(number=77)
        self.assertEqual((tag.name, tag.description, tag.synonyms), ("3D", "Three", ["3-d"]))
        self.assertEqual(self.project.tags.active().count(), 90)

    def test_what_is_absent_is_retired_if_that_is_ticked(self) -> None:
        html = self.bring('[{"id": 77, "name": "3d"}]', "some.json", retire_absent="1")
        self.go_on(html, confirm="1")
        self.assertEqual([tag.name for tag in self.project.tags.active()], ["3d"])

    def test_two_may_change_their_names_with_each_other(self) -> None:
        html = self.bring('[{"id": 77, "name": "agent"}, {"id": 89, "name": "3d"}]', "swap.json")
        self.go_on(html, confirm="1")
        self.assertEqual(self.project.tags.get(number=77).name, "agent")
        self.assertEqual(self.project.tags.get(number=89).name, "3d")


class BadRows(Files):
    ROWS = [
        {"id": 201, "name": "good one"},
        {"id": 201, "name": "same number"},
        {"id": 202, "name": " Good  ONE "},
        {"id": 203, "name": "  "},
        {"id": 204, "name": "bell\u0007"},
        {"id": "x5", "name": "no number"},
        {"id": 2.5, "name": "half a number"},
        {"id": 2**31, "name": "large"},
        {"id": 10**300, "name": "larger"},
        {"name": "without"},
        {"id": 205, "name": "BLOG"},
        "no object",
        {"id": 206, "name": "lost", "parent": 9999},
        {"id": 207, "name": "circle", "parent": 208},
        {"id": 208, "name": "circle too", "parent": 207},
        {"id": 209, "name": "half \ud800"},
        {"id": 210, "name": ["a list"]},
        {"id": True, "name": "a truth"},
        {"id": -4, "name": "negative"},
        {"id": 211, "name": "good two", "synonyms": ["fine"]},
    ]

    def test_are_all_listed_and_the_good_ones_wait_to_be_asked_for(self) -> None:
        html = self.bring(json.dumps(self.ROWS), "tags.json")
        listed = [int(row) for row in re.findall(r'<tr><td class="number">(\d+)</td>', html)]
        self.assertEqual(listed, list(range(2, 20)))
        for problem in ("is in row 1 already", "is the name of number 1 too", "is empty", "U+0007"):
            self.assertIn(problem, html)
        self.assertFalse(self.project.tags.filter(number__gte=200).exists())
        html = self.go_on(html, confirm="1")  # without "apply the good rows": not applied
        self.assertFalse(self.project.tags.filter(number__gte=200).exists())
        html = self.go_on(html, good="1")
        self.assertIn("Nothing is saved yet", html)
        self.go_on(html, confirm="1")
        made = self.project.tags.filter(number__gte=200).order_by("number")
        self.assertEqual([tag.name for tag in made], ["good one", "good two"])

    def test_of_a_table_are_found_by_their_lines(self) -> None:
        table = "id,name\n300,ok\n,none\n\n301,ok\nabc,x\n"
        html = self.bring(table, "tags.csv")
        listed = [int(row) for row in re.findall(r'<tr><td class="number">(\d+)</td>', html)]
        self.assertEqual(listed, [3, 5, 6])


class AsFiles(Files):
    def test_every_format_is_read_back_whole(self) -> None:
        self.awkward()
        before = read(self.project)
        for form, kind in FORMATS.items():
            if form == "seed":
                continue
            with self.subTest(form=form):
                url = f"/admin/review/tag/of/{self.project.pk}/export/{form}/"
                answer = self.curator.get(url)
                self.assertIn(kind.file_name, answer["Content-Disposition"])
                other = Project.objects.create(name=f"Read from {form}")
                self.carol.memberships.update(project=other)
                self.url = f"/admin/review/tag/of/{other.pk}/import/"
                html = self.bring(answer.content, kind.file_name)
                self.go_on(html, confirm="1")
                after = read(other)
                self.assertEqual(after.keys(), before.keys())
                for number, fields in before.items():
                    self.assertEqual(vars_of(after[number]), vars_of(fields))
                self.carol.memberships.update(project=self.project)

    def test_the_seed_s_form_is_the_seed(self) -> None:
        found = json.loads(export(self.project, "seed"))
        seed = json.loads((SEED / "vocabulary.json").read_text())
        self.assertEqual(
            sorted((tag["id"], tag["name"]) for tag in found),
            sorted((tag["id"], tag["name"].strip()) for tag in seed),
        )

    def test_no_cell_is_a_formula(self) -> None:
        self.awkward()
        table = export(self.project, "csv").decode("utf-8-sig")
        self.assertNotRegex(table, r'(^|[,"\n])[=+@-]')
        book = load_workbook(io.BytesIO(export(self.project, "xlsx")))
        kinds = {cell.data_type for row in book.worksheets[0] for cell in row}
        self.assertLessEqual(kinds, {"s", "n", "inlineStr"})
        names = [row[1].value for row in book.worksheets[0].iter_rows()]
        self.assertIn("=HYPERLINK(1)", names)

    def test_turtle_by_others_is_read(self) -> None:
        text = """
        @prefix skos: <http://www.w3.org/2004/02/skos/core#> .
        @prefix t: <https://vocabulary.example/tags/> .
        t:500 a skos:Concept ; skos:prefLabel "Werkzeug"@de, "tool"@en ; skos:altLabel "device" ;
          skos:definition "A thing to work with." ; skos:broader t:501 .
        t:abc a skos:Concept ; skos:notation "501" ; skos:prefLabel "thing" .
        t:xyz a skos:Concept ; skos:prefLabel "numberless" .
        """
        html = self.bring(text, "tags.ttl")
        self.assertIn("“xyz” is not a whole number", html)
        self.go_on(self.go_on(html, good="1"), confirm="1")
        tool = self.project.tags.get(number=500)
        self.assertEqual(
            (tool.name, tool.synonyms, tool.description),
            ("tool", ["device"], "A thing to work with."),
        )
        self.assertEqual(tool.parent, self.project.tags.get(name="thing"))


def vars_of(fields: Fields) -> dict[str, object]:
    """The order of synonyms is not kept by every format."""
    return {**vars(fields), "synonyms": set(fields.synonyms)}


class TheCommand(Files):
    def run_it(self, *words: str) -> tuple[str, str]:
        out, err = StringIO(), StringIO()
        call_command("tags", *words, stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def test_takes_a_list_out_and_in(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "tags.csv")
            self.run_it("--export", file)
            self.assertIn("The list says so already", self.run_it("--import", file)[0])
            Path(file).write_text("id,name\n77,3D\n300, \n")
            with self.assertRaises(CommandError):
                self.run_it("--import", file)
            self.assertEqual(self.project.tags.get(number=77).name, "3d")
            _out, err = self.run_it("--import", file, "--apply-good")
            self.assertIn("row 3: The name is empty.", err)
            self.assertEqual(self.project.tags.get(number=77).name, "3D")
            self.assertIsNone(VocabularyChange.objects.get().curator)


class Hostile(Files):
    def refused(self, data: bytes | str, name: str) -> str:
        html = self.bring(data, name)
        found = re.search(r'<p class="notice" role="alert">(.*?)</p>', html, flags=re.S)
        assert found, html[-1500:]
        self.assertEqual(self.project.tags.count(), 90)
        return found.group(1)

    def test_xml_that_reads_files_or_grows_is_refused(self) -> None:
        entities = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
        for head in (entities, f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}]>'):
            data = (
                f'<?xml version="1.0"?>{head}<rdf:RDF xmlns:rdf='
                '"http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:s='
                '"http://www.w3.org/2004/02/skos/core#"><s:Concept rdf:about="u:5">'
                "<s:prefLabel>&l11;&x;</s:prefLabel></s:Concept></rdf:RDF>"
            )
            for name in ("tags.rdf", "tags.xml"):
                self.assertIn("XML entities", self.refused(data, name))

    def test_an_xlsx_that_unpacks_to_gigabytes_is_refused(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", b" " * 300_000_000)
        self.assertIn("too large when it is unpacked", self.refused(file.getvalue(), "tags.xlsx"))

    def test_an_xlsx_with_entities_is_refused(self) -> None:
        book = Workbook()
        book.active.append(["id", "name"])
        plain = io.BytesIO()
        book.save(plain)
        file = io.BytesIO()
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(file, "w") as archive:
            for name in source.namelist():
                data = source.read(name)
                if name == "xl/worksheets/sheet1.xml":
                    data = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + data
                archive.writestr(name, data)
        self.assertIn("cannot be read", self.refused(file.getvalue(), "tags.xlsx"))

    def test_an_xlsx_that_says_to_be_endless_is_read_to_its_end(self) -> None:
        book = Workbook()
        book.active["A1"], book.active["B1"] = "id", "name"
        book.active["XFD1048576"] = "far"
        file = io.BytesIO()
        book.save(file)
        self.assertIn("more than", self.refused(file.getvalue(), "tags.xlsx"))

    def test_what_is_large_deep_or_nothing_is_refused(self) -> None:
        many = json.dumps([{"id": n, "name": f"n{n}"} for n in range(10_001)])
        for data, name in (
            (b" " * 5_000_001, "tags.json"),
            ("[" * 100_000, "tags.json"),
            ('[{"id":1,"id":2}]', "tags.json"),
            ("[NaN]", "tags.json"),
            ("[" + "9" * 5000 + "]", "tags.json"),
            (many, "tags.json"),
            ("{}", "tags.json"),
            ("[]", "tags.json"),
            (b"\xff\xfe", "tags.json"),
            ("", "tags.csv"),
            ("a,b\n1,2\n", "tags.csv"),
            ("id,id,name\n1,2,3\n", "tags.csv"),
            ('id,name\n1,"x', "tags.csv"),
            (b"PK\x03\x04", "tags.xlsx"),
            ("(" * 100_000, "tags.ttl"),
            ("no turtle", "tags.ttl"),
            ("<a>", "tags.rdf"),
            ("[]", "tags.exe"),
        ):
            with self.subTest(name=name, data=data[:20]):
                self.assertTrue(self.refused(data, name))

    def test_a_packed_file_of_one_s_own_does_no_more(self) -> None:
        for packed in ("x", "AAAA", "eJw=", "é" * 10):
            answer = self.curator.post(self.url, {"packed": packed, "name": "tags.json"})
            self.assertContains(answer, 'role="alert"')


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(ENDINGS))
def test_no_bytes_make_a_reader_raise(data: bytes, ending: str) -> None:
    read_or_refuse(data, ending)


@settings(max_examples=300, deadline=None)
@given(st.integers(), st.sampled_from(["json", "csv", "xlsx", "ttl", "rdf"]))
def test_no_damage_makes_a_reader_raise(seed: int, form: str) -> None:
    draw = random.Random(seed)
    data = bytearray(WHOLE[form])
    for _ in range(draw.randint(1, 8)):
        start = draw.randrange(len(data))
        end = min(len(data), start + draw.randint(1, 20))
        data[start:end] = draw.choice([b"", bytes(draw.randbytes(3)), data[:20], b"&x;", b"\0"])
    read_or_refuse(bytes(data), "." + form)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["id", "name", "synonyms", "parent", "retired", "merged_into"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False)
            | st.text()
            | st.lists(st.text(), max_size=3),
        ),
        max_size=5,
    )
)
def test_no_value_makes_a_reader_raise(rows: list[object]) -> None:
    read_or_refuse(json.dumps(rows).encode(), ".json")


def read_or_refuse(data: bytes, ending: str) -> None:
    try:
        for row in read_tags(data, f"tags{ending}"):
            assert row.problem or (row.number >= 0 and row.name.strip())
    except Refused:
        pass


WHOLE = {
    form: kind.write(
        [
            ListedTag(n, f"name {n}", "what", "not", ("a", "b"), 1 if n > 1 else None, n == 3, None)
            for n in range(1, 6)
        ]
    )
    for form, kind in FORMATS.items()
    if form != "seed"
}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
