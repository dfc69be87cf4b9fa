"""The parts of review/llm that need no server: prompts, replies, token counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from review.llm.client import grammar, schema
from review.llm.likeness import Example
from review.llm.local_server import free_cores, quotas
from review.llm.prompt import (
    FRAMES,
    VERSIONS,
    Material,
    PromptTag,
    adapter_1,
    as_data,
    brief_line,
    cut_to_tokens,
    estimate_tokens,
    full_2,
    full_3,
)
from review.llm.reply import MOST_NAMES_READ, read_reply

SEED = Path(__file__).resolve().parent.parent / "review" / "seed"
VOCABULARY = ["ai", "cli", "game-engine", "http"]
TAGS = [PromptTag(name) for name in VOCABULARY]


def test_the_adapter_gets_the_prompt_it_was_trained_with() -> None:
    prompt = adapter_1(Material("ignored", TAGS, 3, "ignored", "x" * 2000))
    assert prompt.system == (
        "You label software projects. Choose the 1 to 3 tags that best describe the document. "
        "Use only tags from this list:\nai, cli, game-engine, http\n"
        'Answer with JSON like {"tags": ["...", "..."]}'
    )
    assert prompt.user == f"Document:\n{'x' * 800}\n\nTags for this document as JSON:"
    assert prompt.cut


def test_the_full_prompt_tells_what_tags_mean_and_keeps_the_document_apart() -> None:
    tags = [PromptTag("cli", "used in a shell", "libraries")]
    prompt = full_2(Material("Be strict.", tags, 2, "A <document>", "Text </document> more"))
    assert "- cli: used in a shell (not for: libraries)" in prompt.system
    assert "Be strict." in prompt.system
    assert "1 to 2 tags" in prompt.system
    assert prompt.user.count("<document>") == 1
    assert prompt.user.count("</document>") == 1
    assert not prompt.cut


@given(st.text())
def test_no_document_holds_a_control_token_or_ends_the_data(text: str) -> None:
    for hostile in (text, f"<|im_{text}|>", f"</DOCUMENT>{text}"):
        safe = as_data(hostile).lower()
        assert "</document" not in safe
        assert "<|im_" not in safe


@given(st.text(max_size=3000), st.integers(10, 300))
def test_a_cut_text_is_a_beginning_within_the_budget(text: str, budget: int) -> None:
    cut = cut_to_tokens(text, budget)
    assert text.strip().startswith(cut)
    assert estimate_tokens(cut) <= budget or cut == text.strip()


def test_control_tokens_of_other_looks_are_defused_too() -> None:
    assert (
        as_data("<filename>x<file_sep><jupyter_code>") == "< filename>x< file_sep>< jupyter_code>"
    )
    assert as_data("<p>a<b>") == "<p>a<b>"


def test_chinese_counts_more_than_english() -> None:
    assert estimate_tokens("安全" * 100) > 3 * estimate_tokens("security" * 25)


@given(
    st.one_of(
        st.none(),
        st.text(),
        st.recursive(
            st.one_of(
                st.none(), st.booleans(), st.floats(), st.text(), st.sampled_from(VOCABULARY)
            ),
            lambda inner: st.one_of(
                st.lists(inner), st.dictionaries(st.sampled_from(["tags", "name", "x"]), inner)
            ),
        ).map(json.dumps),
    )
)
def test_whatever_is_said_only_tags_of_the_vocabulary_come_out(raw: str | None) -> None:
    reading = read_reply(raw, VOCABULARY, 3)
    assert set(reading.tags) <= set(VOCABULARY)
    assert len(set(reading.tags)) == len(reading.tags) <= 3
    assert bool(reading.tags) != bool(reading.problem)


def test_unclosed_thinking_is_no_answer() -> None:
    assert not read_reply('<think>maybe {"tags": ["ai"]}', VOCABULARY, 3).tags
    assert read_reply('hm</think>{"tags": ["ai"]}', VOCABULARY, 3).tags == ("ai",)


def test_a_flood_is_read_only_so_far() -> None:
    flood = json.dumps({"tags": [f"x{number}" for number in range(10_000)]})
    assert len(read_reply(flood, VOCABULARY, 3).unknown) == MOST_NAMES_READ


def test_deep_nesting_and_many_braces_end_quickly() -> None:
    for raw in ('{"tags":' * 50_000, "{" * 100_000, "[" * 100_000):
        assert not read_reply(raw, VOCABULARY, 3).tags


def test_schema_and_grammar_hold_the_reply_to_one_to_max_tags() -> None:
    tags = schema(VOCABULARY, 2)["json_schema"]["schema"]["properties"]["tags"]
    assert (tags["minItems"], tags["maxItems"]) == (1, 2)
    rules = grammar(['a"b'], 2)["grammar"].splitlines()
    assert rules[0] == r'root ::= "{\"tags\": [" tag (", " tag)? "]}"'
    assert rules[1] == r'tag ::= "\"a\\\"b\""'


def test_the_seed_has_its_90_tags_trimmed_and_with_their_numbers() -> None:
    seed = Path(__file__).parent.parent / "review" / "seed" / "vocabulary.json"
    tags = json.loads(seed.read_text())
    numbers = {tag["name"]: tag["id"] for tag in tags}
    assert len(numbers) == 90
    assert all(name == name.strip() for name in numbers)
    assert (numbers["security"], numbers["game-engine"], numbers["declarative-gui"]) == (25, 81, 8)


def test_a_containers_quota_counts_as_its_cores(tmp_path: Path) -> None:
    inside = tmp_path / "tagger" / "web"
    inside.mkdir(parents=True)
    (tmp_path / "tagger" / "cpu.max").write_text("150000 100000\n")
    (inside / "cpu.max").write_text("max 100000\n")
    assert list(quotas(tmp_path, [("", "/tagger/web")])) == [1.5]
    assert list(quotas(tmp_path, [("", "/elsewhere")])) == []
    (tmp_path / "cpu" / "old").mkdir(parents=True)
    (tmp_path / "cpu" / "old" / "cpu.cfs_quota_us").write_text("400000")
    (tmp_path / "cpu" / "old" / "cpu.cfs_period_us").write_text("100000")
    assert list(quotas(tmp_path, [("cpu,cpuacct", "/old"), ("memory", "/old")])) == [4.0]
    assert free_cores() >= 1


def described() -> list[PromptTag]:
    """The tags that come with Tagger."""
    rows = json.loads((SEED / "vocabulary.json").read_text())
    tags = [
        PromptTag(row["name"].strip(), row["description"], row["not_for"], row["id"])
        for row in rows
    ]
    return sorted(tags, key=lambda tag: tag.name)


def test_the_brief_prompt_names_the_tags_that_say_the_rest() -> None:
    names = {"secrets", "authentication", "cli"}
    for not_for, said in (
        ("passwords at rest (secrets)", "; not secrets"),
        ("login only (authentication); a project with a policy (short)", None),
        ("a program (cli, secrets)", "; not cli, secrets"),
        ("being fast", "; not being fast"),
        ("", ""),
    ):
        line = brief_line(PromptTag("tag", "For it", not_for), names)
        assert (
            line == f"tag: For it{said}"
            if said is not None
            else line.endswith("; not authentication, a project with a policy (short)")
        )
    assert brief_line(PromptTag("tag"), names) == "tag"


def test_examples_stand_with_the_document_and_leave_the_system_message_alone() -> None:
    example = Example("A tool", "It </document> runs <|im_start|>.", ("cli", "gone", "http"))
    other = Example("Gone", "Its tags are gone.", ("gone",))
    about = Material("Be strict.", TAGS, 1, "Mine", "My text.")
    plain = full_3(about)
    shown = full_3(replace(about, examples=[example, other]))
    assert shown.system == plain.system == full_3(replace(about, title="", text="Other")).system
    assert shown.user == (
        '<document>\nA tool\nIt < /document> runs < |im_start| >.\n</document>\n{"tags":["cli"]}\n'
        "<document>\nMine\nMy text.\n</document>"
    )
    assert [one.tags for one in shown.examples] == [("cli",)]
    assert "Be strict." in shown.system
    assert "1 to 1 of the tags" in shown.system


@given(st.text(max_size=20_000), st.text(max_size=300))
def test_what_is_sent_of_a_long_document_stays_within_the_budget(text: str, title: str) -> None:
    long = f"{text}\n\n" * 20
    for version in set(VERSIONS) - set(FRAMES):
        prompt = VERSIONS[version](Material("", TAGS, 3, title, long))
        most = {"adapter-2": 450, "full-3": 2000}.get(version, 3400)
        assert estimate_tokens(prompt.user) <= most, version
        assert "<|im_" not in prompt.user
        if version == "full-3":
            assert prompt.user.count("</document>") == 1


def test_the_brief_prompt_costs_less_than_the_first_one_and_less_anew() -> None:
    """On a README of usual length. docs/quality.md has it by a real tokenizer."""
    about = Material("", described(), 3, "Requests", "Words of a README. " * 400)
    first, brief = VERSIONS["seed-1"](about), full_3(about)
    asked = [estimate_tokens(brief.system + brief.user), estimate_tokens(first.user)]
    assert asked[0] < estimate_tokens(full_2(about).system + full_2(about).user)
    # What no server has in its cache: the first prompt begins with the document.
    assert estimate_tokens(brief.user) < asked[1] / 3
