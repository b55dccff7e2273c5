"""Everything registered keeps the contract that `pixcore check` holds plugins to."""

from __future__ import annotations

import pytest
from pixcore_testing.conformance import check_registration

from pixcore.components import Context
from pixcore.plugins import Kind, registry
from pixcore.records import Fidelity

EXTRACTORS = ("mean", "raw", "localization-heads", "relative", "gradient", "logit-lens")
TRANSFORMS = ("subtract-mean", "divide-by-reference", "sink-filter", "smooth", "border-mask")


@pytest.mark.parametrize("fidelity", Fidelity)
@pytest.mark.parametrize(
    ("kind", "name"), [(Kind.EXTRACTOR, n) for n in EXTRACTORS] + [(Kind.TRANSFORMS, n) for n in TRANSFORMS]
)
def test_it_keeps_the_contract(kind: Kind, name: str, fidelity: Fidelity) -> None:
    found = registry().get(kind, name)
    assert check_registration(found, found.config_class.model_validate({}), Context(fidelity=fidelity)) == []
