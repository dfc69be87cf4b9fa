"""Labelled documents → an adapter of the embedded model. Knows no database and nothing of Django.

variation     the tag list as one lesson sees it
packing       a prompt with several documents behind it → one sequence of tokens
base_model    the wheel's GGUF file → a folder that transformers reads
branches      how such a sequence is attended to
sft           the training, which can be stopped and goes on
adapter_file  PEFT's folder → the GGUF file that llama.cpp loads

All but the first two need what is in requirements-train.txt: docs/training.md.
"""

import os

# Read by transformers when it is imported: nothing here is ever asked of the Hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
