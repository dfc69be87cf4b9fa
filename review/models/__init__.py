"""The nouns, in the order of the data. Each module imports only from those above it.

project     Project
access      Membership                        who may do what in a project
vocabulary  Tag, VocabularyVersion            what a model may answer
            VocabularyChange, TagChange       what curators did to it
tag_use     TagUse, Counted                   how often a tag was proposed and picked
document    Document                          what is to be tagged: its state and its lease
served_model  ServedModel                     what is known of a model and the server behind it
proposal    SystemMessage, Proposal, Candidate, CandidateTag    what a model answered
batch       Batch, BatchItem                  what is asked together, within a day
tally       Tally                             how many documents are in which state
decision    Decision, DecisionTag, Standing, Repeat             what a person chose; append-only
calibration Calibration                       what a confidence is worth
            AutoAccept, Acceptance            that documents are let through unseen, and which
evaluation  Evaluation, EvaluatedDocument     how good proposals were over labelled documents
note        Note                              what people tell the curator
intake      Import, ImportProblem, Columns    how documents came in, and which rows did not
            DocumentRevision, Duplicate       texts that changed, and texts that were here
token       Token                             the keys of programs that ask through the API
webhook     Webhook, Delivery, Attempt        who is told of what happens, and whether they heard
"""

from .access import Membership, Role
from .batch import Batch, BatchItem, BatchState
from .calibration import Acceptance, AutoAccept, Calibration, OffReason
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
from .proposal import Candidate, CandidateTag, Proposal, SystemMessage
from .served_model import ServedModel
from .tag_use import Counted, TagUse
from .tally import Tally
from .token import Scope, Token
from .vocabulary import Tag, TagChange, Verb, VocabularyChange, VocabularyVersion
from .webhook import Attempt, Delivery, DeliveryState, Event, Off, Webhook

__all__ = [
    "Acceptance",
    "Attempt",
    "AutoAccept",
    "Batch",
    "BatchItem",
    "BatchState",
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
    "Import",
    "ImportProblem",
    "ImportState",
    "Markup",
    "Membership",
    "Note",
    "Off",
    "OffReason",
    "Project",
    "Proposal",
    "Purpose",
    "Repeat",
    "Role",
    "Scope",
    "ServedModel",
    "SkipReason",
    "Standing",
    "SystemMessage",
    "Tag",
    "TagChange",
    "TagUse",
    "Tally",
    "Token",
    "Verb",
    "VocabularyChange",
    "VocabularyVersion",
    "Webhook",
]
