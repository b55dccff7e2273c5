"""What asking a paid service costs, and what a run may spend.

The core knows no service and no price. A component says what a call is expected to cost; prices come from the config's
`prices:`, or from the table that the component's plugin ships. Another package counts, and holds a run to its budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

LEDGER = "spending.jsonl"


@dataclass(frozen=True)
class Expense:
    """What calls to a service cost, or are expected to.

    Attributes:
        model: The service's model.
        calls: Requests.
        images: Pictures sent.
        input_tokens: Sent, pictures included.
        output_tokens: Received.
        usd: Its price in US dollars; None where no price is known.
    """

    model: str
    calls: int = 1
    images: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None


class Price(BaseModel):
    """What a model costs.

    Attributes:
        input: US dollars per million tokens sent.
        output: US dollars per million tokens received.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
    output: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class Budget(BaseModel):
    """What a run may spend over all its commands; a lone number in a config is US dollars.

    Attributes:
        usd: US dollars.
        calls: Requests.
        tokens: Sent and received.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] | None = None
    calls: Annotated[int, Field(ge=0, strict=True)] | None = None
    tokens: Annotated[int, Field(ge=0, strict=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"usd": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


@dataclass(frozen=True, eq=False)
class Allowance:
    """What a run may spend on services; whoever pays for answers holds to it.

    Attributes:
        prices: By model, from the config.
        budget: None: no limit.
        ledger: A file of JSON lines, one a paid call, over all commands of the run. None: nothing is written.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    budget: Budget | None = None
    ledger: Path | None = None
