from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pixcore_mini.network import build_network
from pixcore_mini.vocabulary import build_tokenizer
from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder as the training writes it, with random weights."""
    folder = tmp_path_factory.mktemp("untrained")
    torch.manual_seed(0)
    build_network(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
