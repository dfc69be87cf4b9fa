"""SKOS concepts → rows of a tag list, from Turtle or RDF/XML.

prefLabel is the name, altLabel a synonym, definition the description, scopeNote what it is not
for, broader the parent; owl:deprecated says that it is retired, dcterms:isReplacedBy into what it
was merged. The number is the notation, or else the last part of the concept's address.

Nothing is fetched: neither format names files to read but by XML entities, which are refused.
"""

from __future__ import annotations

import re
from xml.sax import ContentHandler, SAXException

from defusedxml.common import DefusedXmlException
from defusedxml.sax import parseString
from rdflib import Graph
from rdflib.namespace import DCTERMS, OWL, RDF, SKOS
from rdflib.term import Literal, Node, URIRef

from . import Refused
from .tag_row import TagRow, read_row

DEEPEST = 30  # brackets in one another, in Turtle


def read_turtle(text: str) -> list[TagRow]:
    if max_depth(text) > DEEPEST:
        raise Refused("The Turtle file has too many brackets in one another.")
    return read_graph(text.encode(), "turtle")


def read_rdf_xml(data: bytes) -> list[TagRow]:
    try:
        parseString(data, ContentHandler())
    except DefusedXmlException as error:
        told = "The file declares XML entities, which are not read. Save it as Turtle."
        raise Refused(told) from error
    except (SAXException, ValueError, LookupError) as error:
        raise Refused("This is not XML, or it is broken.") from error
    return read_graph(data, "xml")


def read_graph(data: bytes, form: str) -> list[TagRow]:
    graph = Graph()
    try:
        graph.parse(data=data, format=form)
    except Exception as error:  # rdflib's parsers raise whatever comes
        raise Refused(f"This cannot be read as RDF: {type(error).__name__}.") from error
    concepts = set(graph.subjects(RDF.type, SKOS.Concept)) | set(graph.subjects(SKOS.prefLabel))
    numbers = {concept: number_of(graph, concept) for concept in concepts}
    ordered = sorted(concepts, key=lambda one: (len(numbers[one]), numbers[one], str(one)))
    return [
        read_row(values_of(graph, concept, numbers), row)
        for row, concept in enumerate(ordered, start=1)
    ]


def number_of(graph: Graph, concept: Node) -> str:
    """The concept's number, as it is written; what it is called where it has none."""
    for notation in sorted(map(str, graph.objects(concept, SKOS.notation))):
        if notation.strip().isdecimal():
            return notation.strip()
    return re.split(r"[/#:]", str(concept).rstrip("/#"))[-1]


def values_of(graph: Graph, concept: Node, numbers: dict[Node, str]) -> dict[str, object]:
    """What the file says of the concept; what it does not mention is not said."""

    def texts(of: URIRef) -> list[str]:
        found = [one for one in graph.objects(concept, of) if isinstance(one, Literal)]
        return [str(one) for one in sorted(found, key=by_language)]

    values: dict[str, object] = {"id": numbers[concept]}
    for column, of in (
        ("name", SKOS.prefLabel),
        ("description", SKOS.definition),
        ("not for", SKOS.scopeNote),
    ):
        if found := texts(of):
            values[column] = found[0]
    if synonyms := texts(SKOS.altLabel):
        values["synonyms"] = synonyms
    for column, of in (("parent", SKOS.broader), ("merged into", DCTERMS.isReplacedBy)):
        if others := sorted(graph.objects(concept, of), key=str):
            values[column] = numbers.get(others[0]) or number_of(graph, others[0])
    for deprecated in graph.objects(concept, OWL.deprecated):
        values["retired"] = str(deprecated).lower() in ("true", "1")
    return values


def by_language(text: Literal) -> tuple[int, str]:
    """English first, then what names no language, then the others."""
    language = text.language or ""
    return (0 if language.startswith("en") else 1 if not language else 2), str(text)


def max_depth(text: str) -> int:
    """How deep brackets are in one another, at most; those in texts count as well."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\](){}]", text):
        depth = depth + 1 if bracket in "[({" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest
