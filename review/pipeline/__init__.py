"""The verbs, a step a file, in the order of a document's way.

first_start  nothing → the first project, with its tags, its owner and real documents
intake       what a reader yields → documents that wait
importing    a file that a person brings → a job that a worker loads
revise       another text of a reviewed document → what becomes of its decisions
endpoint     a project and the settings → the models to ask
promote      a tuned model → in use in a project, or tried beside the one that is; and back
learn        reviewed documents → examples for the prompts of those like them
propose      a waiting document → a proposal with up to three candidates
ranking      a project's tags and picks → which tags are likely for a document
stand_in     no model for long → candidates by counting words, until one is back
exam         a labelled file, or a project's decisions → what proposals are measured with
evaluate     labelled documents → how good the proposals for them are, kept
preview      a document and a prompt's version → the messages, and why these examples
queue        a reviewer → the next document, leased
decide       a reviewer's choice → a decision, for good
refusal      an act that does not fit → why not, in a sentence
repeat       some decisions → the same document again, to the same reviewer, later
gold         documents whose answer is known → handed to reviewers unannounced, once each
close        a document with all its reviews → reviewed, or disputed
adjudicate   a disputed document → a curator's set, which is final
pair         decisions → preference pairs
tags_out     documents → the tags that people gave them
vocabulary   a curator's verb on the tag list → a plan → a change, kept for good
touched      a plan → which documents, decisions and pairs it touches
tag_list     a file → its difference from the tag list; the list → a file
tag_use      proposals and decisions → how often each tag is used
suggest      what the data say → what a curator might change
versions     two vocabulary versions → their difference
find         what a curator looks for → a page of documents
curate       a selection of documents → pinned, retired, reopened …
render       a document's Markdown → HTML that is safe to show
sheet        a document and what the model read of it → the parts that a page shows
note         a reviewer's words → a note that the curator sees
members      a user → somebody in a project, and in that role
token        an owner's wish → a key for a program; what it sends → who asks
webhook      an event → deliveries, sent until somebody has heard
sweep        what was left lying → back in its place
backup       all of it, at one moment → an archive
restore      an archive → an empty install
"""
