"""The nouns, in the order of the data. Each module imports only from those above it.

project     Project
access      Membership                        who may do what in a project
vocabulary  Tag, VocabularyVersion            what a model may answer
            VocabularyChange, TagChange       what curators did to it
tag_use     TagUse, Counted                   how often a tag was proposed and picked
document    Document                          what is to be tagged: its state and its lease
suspicion   Suspicion                         that a document speaks to the model
served_model  ServedModel                     what is known of a model and the server behind it
budget      Budget, Price                     what may be spent on models, and what was
proposal    SystemMessage, Proposal, Candidate, CandidateTag    what a model answered
batch       Batch, BatchItem                  what is asked together, within a day
tally       Tally                             how many documents are in which state
swept       Swept                             when the sweeper was last through
decision    Decision, DecisionTag, Standing, Repeat             what a person chose; append-only
gold        Gold, GoldTurn                    documents whose answer is known, to measure people
chain       Person, Link                      that no decision can be changed unseen
revocation  Revocation                        that a reviewer's decisions do not count
calibration Calibration                       what a confidence is worth
            AutoAccept, Acceptance            that documents are let through unseen, and which
evaluation  Evaluation, EvaluatedDocument     how good proposals were over labelled documents
release     Release                           what was exported to train on, frozen
training    Training, InUse, Promotion        models tuned on a release, and which is asked
note        Note                              what people tell the curator
intake      Import, ImportProblem, Columns    how documents came in, and which rows did not
            DocumentRevision, Duplicate       texts that changed, and texts that were here
token       Token                             the keys of programs that ask through the API
webhook     Webhook, Delivery, Attempt        who is told of what happens, and whether they heard
"""

from .access import Membership, Role
from .batch import Batch, BatchItem, BatchState
from .budget import Budget, Price
from .calibration import Acceptance, AutoAccept, Calibration, OffReason
from .chain import Link, Person
from .decision import (
    Decision,
    DecisionKind,
    DecisionTag,
    Purpose,
    Repeat,
    SkipReason,
    Standing,
)
from .document import Document, DocumentState, Markup
from .evaluation import EvaluatedDocument, Evaluation
from .gold import Gold, GoldTurn
from .intake import (
    Columns,
    DocumentRevision,
    Duplicate,
    Import,
    ImportProblem,
    ImportState,
)
from .note import Note
from .project import Project
from .proposal import Candidate, CandidateTag, Giver, Proposal, SystemMessage
from .release import Release, ReleaseState
from .revocation import Revocation, RevocationVerb
from .served_model import ServedModel
from .suspicion import Suspicion
from .swept import Swept
from .tag_use import Counted, TagUse
from .tally import Tally
from .token import Scope, Token
from .training import EMBEDDED_BASE, InUse, Promotion, Training, TrainingState
from .vocabulary import Tag, TagChange, Verb, VocabularyChange, VocabularyVersion
from .webhook import Attempt, Delivery, DeliveryState, Event, Off, Webhook

__all__ = [
    "EMBEDDED_BASE",
    "Acceptance",
    "Attempt",
    "AutoAccept",
    "Batch",
    "BatchItem",
    "BatchState",
    "Budget",
    "Calibration",
    "Candidate",
    "CandidateTag",
    "Columns",
    "Counted",
    "Decision",
    "DecisionKind",
    "DecisionTag",
    "Delivery",
    "DeliveryState",
    "Document",
    "DocumentRevision",
    "DocumentState",
    "Duplicate",
    "EvaluatedDocument",
    "Evaluation",
    "Event",
    "Giver",
    "Gold",
    "GoldTurn",
    "Import",
    "ImportProblem",
    "ImportState",
    "InUse",
    "Link",
    "Markup",
    "Membership",
    "Note",
    "Off",
    "OffReason",
    "Person",
    "Price",
    "Project",
    "Promotion",
    "Proposal",
    "Purpose",
    "Release",
    "ReleaseState",
    "Repeat",
    "Revocation",
    "RevocationVerb",
    "Role",
    "Scope",
    "ServedModel",
    "SkipReason",
    "Standing",
    "Suspicion",
    "Swept",
    "SystemMessage",
    "Tag",
    "TagChange",
    "TagUse",
    "Tally",
    "Token",
    "Training",
    "TrainingState",
    "Verb",
    "VocabularyChange",
    "VocabularyVersion",
    "Webhook",
]
