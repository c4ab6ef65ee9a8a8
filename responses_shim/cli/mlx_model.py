"""Writes a model from a GGUF file in the form that MLX loads: a directory of safetensors, JSON and a tokenizer.

For the small model of `responses-shim demo`, which is a llama in Q4_1 with a byte-level BPE tokenizer. Its quantised
tensors are taken as they are, so that this takes a second or two and needs nothing but `mlx` and `tokenizers`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

GROUP_SIZE = 32
"""How many weights share a scale in the quantised types of GGUF that MLX reads (Q4_0, Q4_1, Q8_0)."""

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}
"""The names of a llama's layers in GGUF and in MLX, without the number of the block."""

_SPECIAL = 3
"""The type that GGUF gives to special tokens, such as `<|im_end|>`."""


def write_mlx_model(gguf: Path, directory: Path) -> None:
    """Write the model in the file `gguf` to a directory that exists.

    Needs the packages `mlx` and `tokenizers`, which come with MLX's servers. Raises what they raise if the file is not
    a model of the kind that this module is for.
    """
    mlx = import_module("mlx.core")
    tensors, metadata = mlx.load(str(gguf), return_metadata=True)
    # Activations take the type of the scales, and the CPU computes with float32 several times as fast as with float16.
    weights = {
        mlx_name(name): tensor if tensor.dtype == mlx.uint32 else tensor.astype(mlx.float32)
        for name, tensor in tensors.items()
    }
    bits = {
        name.removesuffix(".scales"): weights[name.replace(".scales", ".weight")].shape[-1]
        * 32
        // (scales.shape[-1] * GROUP_SIZE)
        for name, scales in weights.items()
        if name.endswith(".scales")
    }
    mlx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})
    _write_json(directory / "config.json", config_of(metadata, bits, tied="lm_head.weight" not in weights))
    _write_tokenizer(metadata, directory)


def mlx_name(name: str) -> str:
    """What MLX calls a tensor: `blk.3.attn_q.scales` is `model.layers.3.self_attn.q_proj.scales`."""
    *block, layer, part = name.split(".")
    prefix = f"model.layers.{block[1]}." if block else ""
    return f"{prefix}{_NAMES[layer]}.{part}"


def config_of(metadata: Mapping[str, Any], bits: Mapping[str, int], *, tied: bool) -> dict[str, Any]:
    """The contents of `config.json`.

    `metadata` is that of the GGUF file, `bits` the size of a weight in each quantised layer by its name in MLX. `tied`:
    the model has no output layer but its embedding.
    """
    usual = max(set(bits.values()), key=list(bits.values()).count)
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": _number(metadata, "llama.embedding_length"),
        "intermediate_size": _number(metadata, "llama.feed_forward_length"),
        "num_hidden_layers": _number(metadata, "llama.block_count"),
        "num_attention_heads": _number(metadata, "llama.attention.head_count"),
        "num_key_value_heads": _number(metadata, "llama.attention.head_count_kv"),
        "max_position_embeddings": _number(metadata, "llama.context_length"),
        "rms_norm_eps": metadata["llama.attention.layer_norm_rms_epsilon"].item(),
        "rope_theta": metadata["llama.rope.freq_base"].item(),
        "rope_traditional": True,  # as llama.cpp orders the weights of a llama's attention
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": tied,
        "torch_dtype": "float32",
        **_token_ids(metadata),
        "quantization": {
            "group_size": GROUP_SIZE,
            "bits": usual,
            **{name: {"group_size": GROUP_SIZE, "bits": size} for name, size in bits.items() if size != usual},
        },
    }


def _token_ids(metadata: Mapping[str, Any]) -> dict[str, int]:
    eos = _number(metadata, "tokenizer.ggml.eos_token_id")
    return {"bos_token_id": _number(metadata, "tokenizer.ggml.bos_token_id"), "eos_token_id": eos, "pad_token_id": eos}


def _write_tokenizer(metadata: Mapping[str, Any], directory: Path) -> None:
    library = import_module("tokenizers")
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in metadata["tokenizer.ggml.merges"]]
    kinds = metadata["tokenizer.ggml.token_type"].tolist()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _SPECIAL]
    tokenizer = library.Tokenizer(
        library.models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges)
    )
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(
        [
            library.pre_tokenizers.Digits(individual_digits=True),
            library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = library.decoders.ByteLevel()
    tokenizer.add_special_tokens([library.AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(directory / "tokenizer.json"))
    ids = _token_ids(metadata)
    _write_json(directory / "generation_config.json", ids)
    _write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **{name.removesuffix("_id"): tokens[id] for name, id in ids.items()},
            "chat_template": metadata["tokenizer.chat_template"],
            "model_max_length": _number(metadata, "llama.context_length"),
            "clean_up_tokenization_spaces": False,
        },
    )


def _number(metadata: Mapping[str, Any], key: str) -> int:
    return int(metadata[key].item())


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
