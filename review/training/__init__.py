"""Labelled documents, or picks → an adapter of the embedded model.

Knows no database and nothing of Django.

variation     the tag list as one lesson sees it
packing       a prompt with several documents behind it → one sequence of tokens
base_model    the wheel's GGUF file → a folder that transformers reads
branches      how such a sequence is attended to
sft           the training, which can be stopped and goes on
preferences   likewise, on what people picked
narrower      an adapter → one of a smaller rank
adapter_file  PEFT's folder → the GGUF file that llama.cpp loads; and back
course        how is trained: what may be chosen
trl_lines     the command lines that train another model with TRL
trl_run       such a line run here

What trains needs what is in requirements-train.txt: docs/training.md. The others may be imported
without it: variation, packing, course, trl_lines, trl_run.
"""

import os

OFFLINE = "HF_HUB_OFFLINE"
forbidden = bool(os.environ.get(OFFLINE))  # by the operator
# Read by transformers when it is imported: nothing here is ever asked of the Hub.
os.environ.setdefault(OFFLINE, "1")


def environment() -> dict[str, str]:
    """For another process, which may ask the Hub where the operator lets it."""
    return {name: at for name, at in os.environ.items() if forbidden or name != OFFLINE}
