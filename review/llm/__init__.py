"""Text + tags → up to three tag sets. Knows no database and nothing of Django.

prompt        tags + text → the messages, in named versions
likeness      labelled documents → those most like this one
recipe        how a model is asked
client        messages → raw replies, from any OpenAI-compatible server, by a deadline
manners       what a server has turned out to honour
lane          how many calls at once it bears
reply         a raw reply → tags of the vocabulary
sampling      the three: asks, compares as sets, asks again
local_server  the embedded model, for when no server is configured
front         several models behind its one address
"""
