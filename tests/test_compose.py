"""Three sets put together from one answer's likelihoods and the ranker's chances."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from review.llm.client import Endpoint
from review.llm.compose import EMBEDDED, Token, chances, shares_by_place
from review.llm.recipe import Recipe
from review.llm.sampling import Sampling
from review.models import Candidate, Document
from review.models.proposal import Proposal
from review.pipeline import ranking, served
from review.pipeline.pair import pairs
from review.pipeline.propose import propose, sample

from .base import HouseTestCase
from .fake_model import Reply, tags

NAMES = ["ai", "cli", "data", "database", "lib", "web-app", "web-server"]


def token(text: str, **places: float) -> Token:
    """By their probabilities; `q` in a name stands for a quote."""
    told = {name.replace("q", '"').replace("_", "-"): math.log(p) for name, p in places.items()}
    return Token(text, told or {text: 0.0})


ANSWER = [  # {"tags": ["web-app", "cli"]}
    token('{"'),
    token("tags"),
    token('":'),
    token(' ["'),
    token("web", web=0.6, data=0.2, ai=0.1),
    token("-"),
    token("app", app=0.75, server=0.25),
    Token('",', {'",': math.log(0.8), '"]': math.log(0.2)}),
    token(' "'),
    token("cli", cli=0.5, lib=0.5),
    Token('"]', {'"]': math.log(0.9), '",': math.log(0.1)}),
    token("}"),
]


def test_each_place_shares_its_probability_among_the_names_that_fit() -> None:
    first, second = shares_by_place(ANSWER, NAMES, ["web-app", "cli"])
    assert first["web-app"] == pytest.approx(0.6 * 0.75)
    assert first["web-server"] == pytest.approx(0.6 * 0.25)
    assert first["data"] == first["database"] == pytest.approx(0.1)  # who knows which
    assert first["ai"] == pytest.approx(0.1)
    assert first["lib"] == 0
    assert second["lib"] == pytest.approx(0.8 * 0.5)  # a second tag came with 0.8


def test_a_tag_that_neither_model_nor_words_speak_for_has_little_chance() -> None:
    ranked = dict.fromkeys([*NAMES, "yaml"], 0.01) | {"web-app": 0.5, "lib": 0.4}
    found = chances(ranked, ANSWER, ["web-app", "cli"], EMBEDDED)
    assert max(found, key=lambda name: found[name]) == "web-app"
    assert found["lib"] > found["database"]
    assert found["yaml"] < 0.05
    assert all(0 < chance < 1 for chance in found.values())


def told(*names: str) -> dict[str, Any]:
    """`choice.logprobs` as llama.cpp tells them, of an answer whose every token is sure."""
    texts = ['{"', "tags", '":', ' ["']
    for place, name in enumerate(names):
        texts += [name, '"]' if place == len(names) - 1 else '",', ' "']
    texts[-1] = "}"
    return {
        "content": [
            {"token": text, "logprob": -0.1, "top_logprobs": [{"token": text, "logprob": -0.1}]}
            for text in texts
        ]
    }


def reply(*names: str, likelihoods: bool = True) -> Reply:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": tags(*names)},
        "logprobs": told(*names) if likelihoods else None,
    }
    body = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}
    return Reply(body=json.dumps(body).encode())


class Composed(HouseTestCase):
    def sampling(self, text: str, title: str = "") -> Sampling:
        recipe = Recipe(prompt="adapter-2", plan="composed")
        endpoint = Endpoint(self.model.url, "", "fake-llama", recipe, grammar=True)
        words = [{"id": tag.number, "name": tag.name} for tag in self.project.tags.all()]
        return sample(endpoint, "", words, 3, title, text, ranker=lambda: ranking.of_tags(words))

    def test_three_differ_and_one_request_was_made(self) -> None:
        self.model.say(reply("parser", "lib"))
        sampling = self.sampling("A parser for YAML. Import it.", "yamlette")
        found = sampling.three(10)
        self.assertEqual(len(self.model.requests), 1)
        self.assertEqual(len({frozenset(one.tags) for one in found}), 3)
        self.assertIn("yaml", {name for one in found for name in one.tags})
        own = [one for one in found if not one.composed]
        self.assertLessEqual(len(own), 1)
        for one in own:
            self.assertEqual(set(one.tags), {"parser", "lib"})
        self.assertGreater(sampling.doubt or 0, 0)
        self.assertEqual(self.model.requests[0]["top_logprobs"], 40)

    def test_a_server_that_tells_no_likelihoods_is_asked_for_samples(self) -> None:
        self.model.say(reply("parser", likelihoods=False))
        found = self.sampling("A parser for YAML.").three(10)
        self.assertGreater(len(self.model.requests), 1)
        self.assertTrue(all(not one.composed for one in found))

    def test_what_was_put_together_is_marked_on_candidates_and_pairs(self) -> None:
        document = self.document(text="A parser for YAML. Import it.")
        self.model.say(reply("parser", "lib"))
        served.forget()
        embedded = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "TAGGER_MODEL": ""}
        with self.settings(**embedded, TAGGER_EMBEDDED_URL=self.model.url):
            propose(document.pk)
        proposal = Proposal.objects.get(document=document, current=True)
        marked = {
            frozenset(tag.name for tag in one.tags): one.composed
            for one in Candidate.objects.filter(proposal=proposal)
        }
        self.assertTrue(any(marked.values()))
        self.assertFalse(marked.get(frozenset({"parser", "lib"}), False))
        document = Document.objects.get(pk=document.pk)
        self.assertAlmostEqual(document.disagreement, self.doubt_of(proposal), places=2)

        self.client.post(self.page().urls[0], self.page().fields)
        for pair in pairs(self.project):
            said = not marked[frozenset(tag.name for tag in pair.chosen_tags)]
            self.assertEqual(pair.chosen_said, said)
            self.assertEqual(
                pair.rejected_said, not marked[frozenset(tag.name for tag in pair.rejected_tags)]
            )
        self.assertEqual(sum(1 for _ in pairs(self.project)), 2)

    def doubt_of(self, proposal: Proposal) -> float:
        told = proposal.calls[-1]["chances"]
        first = Candidate.objects.get(proposal=proposal, rank=1)
        return 1 - float(sum(told[tag.name] for tag in first.tags)) / len(first.tags)
