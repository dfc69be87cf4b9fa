"""A tag list as SKOS: Turtle or RDF/XML. What stands for what: see readers/skos.py."""

from __future__ import annotations

from collections.abc import Iterable

from rdflib import Graph
from rdflib.namespace import DCTERMS, OWL, RDF, SKOS, XSD
from rdflib.term import Literal, URIRef

from .tag_file import ListedTag


def turtle(tags: Iterable[ListedTag]) -> bytes:
    return graph_of(tags).serialize(format="turtle", encoding="utf-8")


def rdf_xml(tags: Iterable[ListedTag]) -> bytes:
    return graph_of(tags).serialize(format="pretty-xml", encoding="utf-8", max_depth=1)


def graph_of(tags: Iterable[ListedTag]) -> Graph:
    graph = Graph()
    scheme = URIRef("urn:tagger:tags")
    graph.add((scheme, RDF.type, SKOS.ConceptScheme))
    for tag in tags:
        concept = address(tag.number)
        graph.add((concept, RDF.type, SKOS.Concept))
        graph.add((concept, SKOS.inScheme, scheme))
        graph.add((concept, SKOS.notation, Literal(str(tag.number))))
        graph.add((concept, SKOS.prefLabel, Literal(tag.name)))
        for synonym in tag.synonyms:
            graph.add((concept, SKOS.altLabel, Literal(synonym)))
        if tag.description:
            graph.add((concept, SKOS.definition, Literal(tag.description)))
        if tag.not_for:
            graph.add((concept, SKOS.scopeNote, Literal(tag.not_for)))
        if tag.parent is not None:
            graph.add((concept, SKOS.broader, address(tag.parent)))
        if tag.retired:
            graph.add((concept, OWL.deprecated, Literal("true", datatype=XSD.boolean)))
        if tag.merged_into is not None:
            graph.add((concept, DCTERMS.isReplacedBy, address(tag.merged_into)))
    return graph


def address(number: int) -> URIRef:
    return URIRef(f"urn:tagger:tags:{number}")
