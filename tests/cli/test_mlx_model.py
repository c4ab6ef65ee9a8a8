"""A GGUF file's names, sizes and tokens, as MLX's servers want them. The arrays are stand-ins: no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.cli.mlx_model import config_of, mlx_name


class Scalar:
    """An array of one number."""

    def __init__(self, value: float) -> None:
        self._value = value

    def item(self) -> float:
        return self._value


METADATA: dict[str, Any] = {
    "llama.embedding_length": Scalar(576),
    "llama.feed_forward_length": Scalar(1536),
    "llama.block_count": Scalar(30),
    "llama.attention.head_count": Scalar(9),
    "llama.attention.head_count_kv": Scalar(3),
    "llama.context_length": Scalar(8192),
    "llama.attention.layer_norm_rms_epsilon": Scalar(1e-5),
    "llama.rope.freq_base": Scalar(100000.0),
    "tokenizer.ggml.bos_token_id": Scalar(1),
    "tokenizer.ggml.eos_token_id": Scalar(2),
    "tokenizer.ggml.tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a"],
}


@pytest.mark.parametrize(
    ("gguf", "mlx"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "lm_head.weight"),
        ("blk.29.attn_q.scales", "model.layers.29.self_attn.q_proj.scales"),
        ("blk.0.ffn_down.biases", "model.layers.0.mlp.down_proj.biases"),
        ("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
    ],
)
def test_the_name_of_a_tensor(gguf: str, mlx: str) -> None:
    assert mlx_name(gguf) == mlx


def test_the_configuration_is_that_of_the_file() -> None:
    config = config_of(METADATA, {"model.embed_tokens": 8, "a": 4, "b": 4}, tied=True)
    assert config["hidden_size"] == 576
    assert config["num_key_value_heads"] == 3
    assert config["rope_theta"] == 100000.0
    assert config["vocab_size"] == 4
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)
    assert config["tie_word_embeddings"] is True


def test_a_layer_with_another_size_of_weight_is_named() -> None:
    config = config_of(METADATA, {"model.embed_tokens": 8, "a": 4, "b": 4}, tied=True)
    assert config["quantization"] == {
        "group_size": 32,
        "bits": 4,
        "model.embed_tokens": {"group_size": 32, "bits": 8},
    }
