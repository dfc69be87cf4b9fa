"""The command lines that train any Hugging Face model with TRL: on the chosen answers, then DPO.

They need TRL and PEFT where they are run, and nothing of Tagger. Each stage leaves an adapter
of its own, of which the next stage's model is made; the last line puts all of them together
into one, for the model that was begun with: its matrices side by side, which says the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .course import TrlCourse

LORA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MERGE = (
    "import sys, peft, transformers; _, before, adapter, out = sys.argv; "
    "model = peft.PeftModel.from_pretrained("
    "transformers.AutoModelForCausalLM.from_pretrained(before, dtype='{dtype}'), adapter); "
    "model.merge_and_unload().save_pretrained(out); "
    "transformers.AutoTokenizer.from_pretrained(before).save_pretrained(out)"
)
JOIN = (
    "import sys, json, os, torch; from safetensors.torch import load_file, save_file; "
    "_, base, out, *adapters = sys.argv; "
    "configs = [json.load(open(one + '/adapter_config.json')) for one in adapters]; "
    "scales = [one['lora_alpha'] / one['r'] for one in configs]; "
    "parts = [load_file(one + '/adapter_model.safetensors') for one in adapters]; "
    "rank = sum(one['r'] for one in configs); os.makedirs(out, exist_ok=True); "
    "whole = {name: torch.cat([part[name].float() * (scale if 'lora_B' in name else 1) "
    "for part, scale in zip(parts, scales)], int('lora_B' in name)) for name in parts[0]}; "
    "save_file(whole, out + '/adapter_model.safetensors', {'format': 'pt'}); "
    "json.dump({**configs[-1], 'r': rank, 'lora_alpha': rank, "
    "'base_model_name_or_path': base}, open(out + '/adapter_config.json', 'w'))"
)


@dataclass(frozen=True)
class Line:
    """stage: "sft" and "dpo" train; "merge" and "join" put together. told: for a person.

    out: the folder that it leaves.
    """

    stage: str
    told: str
    words: list[str]
    out: Path


def lines(
    base: str,
    sft_data: Sequence[str],
    dpo_data: Sequence[str],
    out: Path,
    course: TrlCourse,
    start: Path | None = None,
) -> list[Line]:
    """sft_data, dpo_data: the options that name each stage's data. start: PEFT's folder.

    The last line's folder has the adapter of `base`.
    """
    dtype = "float32" if course.cpu else "bfloat16"
    same: list[object] = ["--use_peft", "--lora_r", course.rank, "--lora_alpha", 2 * course.rank]
    same += ["--lora_target_modules", *LORA]
    same += ["--per_device_train_batch_size", course.batch]
    same += ["--gradient_accumulation_steps", course.gather]
    same += ["--max_length", course.max_length, "--dtype", dtype, "--seed", course.seed]
    if course.cpu:
        same += ["--use_cpu", "true", "--bf16", "false"]
    model = base
    adapters: list[Path] = []
    told: list[Line] = []

    def add(stage: str, says: str, leaves: Path, *words: object) -> None:
        told.append(Line(stage, says, [str(word) for word in words], leaves))

    def merged(name: str, says: str) -> str:
        leaves = out / f"{name}-merged"
        program = "python", "-c", MERGE.format(dtype=dtype)
        add("merge", says, leaves, *program, model, adapters[-1], leaves)
        return str(leaves)

    if start:
        adapters.append(start)
        model = merged("start", "With the adapter that it goes on from:")
    if course.sft_epochs:
        rates = "--learning_rate", course.sft_rate, "--num_train_epochs", course.sft_epochs
        words = ["--model_name_or_path", model, *sft_data, *rates, *same]
        adapters.append(out / "sft")
        on = "On the chosen answers:"
        add("sft", on, adapters[-1], "trl", "sft", *words, "--output_dir", adapters[-1])
        # DPO compares with the model that it is given: so the first adapter becomes part of it.
        model = merged("sft", "Which DPO starts from:")
    rates = "--learning_rate", course.rate, "--num_train_epochs", course.epochs
    words = ["--model_name_or_path", model, *dpo_data, *rates, "--beta", course.beta]
    words += ["--loss_type", "sigmoid"]
    if course.sft_weight:
        words += ["sft", "--loss_weights", 1.0, course.sft_weight]
    adapters.append(out / "dpo")
    words += [*same, "--output_dir", adapters[-1]]
    add("dpo", "On the pairs:", adapters[-1], "trl", "dpo", *words)
    if len(adapters) > 1:
        says, leaves = f"All of it as one adapter, for {base}:", out / "adapter"
        add("join", says, leaves, "python", "-c", JOIN, base, leaves, *adapters)
    return told


def shell(told: Sequence[Line], cache: Path) -> str:
    """For a person to run. cache: for what `datasets` makes of the data.

    It knows a folder by its last name alone: in the cache that all share, it would take another
    release for this one, without a word.
    """
    begin = f"# A cache of its own:\nexport HF_DATASETS_CACHE={shlex.quote(str(cache))}\n"
    return begin + "\n".join(f"# {line.told}\n{shlex.join(line.words)}" for line in told)
