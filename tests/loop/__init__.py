"""The whole loop from nothing, with simulated reviewers: docs/loop.md.

__main__   what is asked for; a database of its own
chain      proposed, picked, released, trained, measured
reviewers  who pick by the labels
told       what came of it: a table, a picture, JSON
"""
