"""The API under /api/v1/, by django-ninja: a noun a file, each calling the verbs of the pipeline.

root       all of it put together, and its OpenAPI document
bearer     who asks: a token and its scopes
problem    every error, as an RFC 9457 problem document
address    a document's id in a path, whatever characters it has
page       long lists, a page at a time
"""
