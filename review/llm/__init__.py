"""Text + tags → up to three tag sets. Knows no database and nothing of Django.

prompt        tags + text → the messages, in named versions
recipe        how a model is asked
client        messages → raw replies, from any OpenAI-compatible server, by a deadline
reply         a raw reply → tags of the vocabulary
sampling      the three: asks, compares as sets, asks again
local_server  the embedded model, for when no server is configured
"""
