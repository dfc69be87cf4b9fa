"""The nouns, in the order of the data. Each module imports only from those above it.

project     Project
access      Membership                        who may do what in a project
vocabulary  Tag, VocabularyVersion            what a model may answer
document    Document                          what is to be tagged: its state and its lease
proposal    SystemMessage, Proposal, Candidate, CandidateTag    what a model answered
decision    Decision, DecisionTag, Standing   what a person chose; append-only
"""

from .access import Membership, Role
from .decision import Decision, DecisionKind, DecisionTag, SkipReason, Standing
from .document import Document, DocumentState, Markup
from .project import Project
from .proposal import Candidate, CandidateTag, Proposal, SystemMessage
from .vocabulary import Tag, VocabularyVersion

__all__ = [
    "Candidate",
    "CandidateTag",
    "Decision",
    "DecisionKind",
    "DecisionTag",
    "Document",
    "DocumentState",
    "Markup",
    "Membership",
    "Project",
    "Proposal",
    "Role",
    "SkipReason",
    "Standing",
    "SystemMessage",
    "Tag",
    "VocabularyVersion",
]
