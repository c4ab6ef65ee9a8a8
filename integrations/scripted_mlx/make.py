"""Writes the directories of two scripted models, one for mlx-lm's models and one for mlx-vlm's:

    python integrations/scripted_mlx/make.py OUT        (with the Python of the server's environment)

`OUT/lm` is for vllm-mlx, `OUT/vlm` for mlx-vlm. Each is a tiny llama of random weights, a tokenizer with a token for
every byte and for the markup of reasoning and tool calls, and a file that replaces the model's logits
(`scripted_model.py`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlx.core as mx
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKUP = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
WIDTH, INNER, LAYERS, KEYS = 64, 128, 2, 32

MODEL_FILES = {
    "lm": "from scripted_model import lm_model\n\nModel, ModelArgs = lm_model(__file__)\n",
    "vlm": "from scripted_model import vlm_model\n\nModel, ModelConfig = vlm_model(__file__)\n",
}


def make_tokenizer() -> Tokenizer:
    """A token for every byte, and one for each of the special tokens and the markup."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*SPECIAL, *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in MARKUP])
    return tokenizer


def make_weights(vocabulary: int) -> dict[str, mx.array]:
    """Random weights of a llama."""
    shapes = {
        "self_attn.q_proj": (WIDTH, WIDTH),
        "self_attn.k_proj": (KEYS, WIDTH),
        "self_attn.v_proj": (KEYS, WIDTH),
        "self_attn.o_proj": (WIDTH, WIDTH),
        "mlp.gate_proj": (INNER, WIDTH),
        "mlp.up_proj": (INNER, WIDTH),
        "mlp.down_proj": (WIDTH, INNER),
    }
    weights = {
        "model.embed_tokens.weight": mx.random.normal((vocabulary, WIDTH)),
        "model.norm.weight": mx.ones((WIDTH,)),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        weights |= {f"{prefix}.{part}.weight": mx.random.normal(shape) * 0.2 for part, shape in shapes.items()}
        weights[f"{prefix}.input_layernorm.weight"] = mx.ones((WIDTH,))
        weights[f"{prefix}.post_attention_layernorm.weight"] = mx.ones((WIDTH,))
    return weights


def write_models(out: Path) -> None:
    """Write both directories below `out`."""
    tokenizer = make_tokenizer()
    vocabulary = tokenizer.get_vocab_size()
    weights = make_weights(vocabulary)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "model_file": "scripted.py",
        **ids,
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8"),
        "model_max_length": 8192,
        "clean_up_tokenization_spaces": False,
    }
    files = {"config": config, "tokenizer_config": tokenizer_config, "generation_config": ids}
    for name, model_file in MODEL_FILES.items():
        directory = out / name
        directory.mkdir(parents=True, exist_ok=True)
        mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
        tokenizer.save(str(directory / "tokenizer.json"))
        (directory / "scripted.py").write_text(model_file, encoding="utf-8")
        for file, content in files.items():
            (directory / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    write_models(Path(sys.argv[1]))
