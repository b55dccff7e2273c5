"""`pixcore check` holds components to the contract and says which one broke it."""

from __future__ import annotations


def test_a_component_that_keeps_the_contract(workplace):
    assert "keeps the contract" in workplace("check", "toy-peak").stdout


def test_an_unknown_component(workplace):
    assert "did you mean 'toy-peak'?" in workplace("check", "toy-peek", status=2).stderr


def test_an_option_that_does_not_exist(workplace):
    assert "no such key" in workplace("check", "toy-peak", "--set", "k=1", status=2).stderr
