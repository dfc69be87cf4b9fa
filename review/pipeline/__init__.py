"""The verbs, a step a file, in the order of a document's way.

first_start  nothing → the first project, with its tags, its owner and real documents
intake       what a reader yields → documents that wait
endpoint     settings → the model to ask
propose      a waiting document → a proposal with up to three candidates
queue        a reviewer → the next document, leased
decide       a reviewer's choice → a decision, for good
pair         decisions → preference pairs
tags_out     documents → the tags that people gave them
render       a document's Markdown → HTML that is safe to show
sweep        what was left lying → back in its place
"""
