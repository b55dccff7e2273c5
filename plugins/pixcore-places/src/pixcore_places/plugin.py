"""Registers what this package offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixcore import hookimpl
from pixcore.hookspecs import Register, RegisterCommand

if TYPE_CHECKING:
    from pixcore_places.accounts import PlaceAccounts


@hookimpl
def register_token_groupers(register: Register) -> None:
    """Offer the groupers."""
    register(
        "written-places",
        "pixcore_places.groupers:WrittenPlaces",
        config="pixcore_places.config:WrittenPlacesConfig",
        summary="points and boxes that the answer states, as prompts",
    )
    register(
        "asked-expression",
        "pixcore_places.groupers:AskedExpression",
        summary="the expression itself, as a text for a generator that takes texts",
    )
    register(
        "said-phrases",
        "pixcore_places.groupers:SaidPhrases",
        config="pixcore_places.config:SaidPhrasesConfig",
        summary="each phrase of the answer, as a text for a generator that takes texts",
    )
    register(
        "by-probing",
        "pixcore_places.several:ByProbing",
        config="pixcore_places.config:ByProbingConfig",
        summary="a grouper for each probing: several ways in one run",
    )


@hookimpl
def register_mask_generators(register: Register) -> None:
    """Offer the generators."""
    register(
        "united",
        "pixcore_places.united:United",
        config="pixcore_places.config:UnitedConfig",
        summary="several places of one object, each by another generator, united",
    )
    register(
        "mask-codes",
        "pixcore_places.coded:MaskCodes",
        config="pixcore_places.config:MaskCodesConfig",
        summary="the masks that PaliGemma writes in codes; boxes by another generator",
    )
    register(
        "by-prompt",
        "pixcore_places.several:ByPrompt",
        config="pixcore_places.config:ByPromptConfig",
        summary="places by one generator, words by another",
    )


@hookimpl
def register_selection_strategies(register: Register) -> None:
    """Offer the strategy."""
    register(
        "as-written",
        "pixcore_places.strategies:AsWritten",
        config="pixcore_places.config:AsWrittenConfig",
        summary="the first place that the answer states; absent where it states none",
    )


@hookimpl
def register_point_selectors(register: Register) -> None:
    """Offer the control's points."""
    register(
        "random-places",
        "pixcore_places.controls:RandomPlaces",
        summary="as a control's: points and boxes of the run's own kind, anywhere",
    )


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the models."""
    register(
        "silent",
        "pixcore_places.silent:Silent",
        config="pixcore_places.config:SilentConfig",
        summary="says nothing: for runs of a generator on the expression alone",
    )
    register(
        "enlarged",
        "pixcore_places.enlarged:Enlarged",
        config="pixcore_places.config:EnlargedConfig",
        summary="another model, shown each image so many times as large",
    )


@hookimpl
def register_probings(register: RegisterCommand) -> None:
    """Offer the probings."""
    register("point", "pixcore_places.probings:point", summary="asks for a point, as the model's family is asked")
    register("box", "pixcore_places.probings:box", summary="asks for a box, as the model's family is asked")


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command."""
    register("ways", "pixcore_places.ways:ways", summary="Attention, pointing, a specialist: rows of several runs.")


@hookimpl
def keep_accounts(rows: Any, fidelity: Any) -> PlaceAccounts:
    """Count the places that answers state."""
    from pixcore_places.accounts import PlaceAccounts

    return PlaceAccounts()
