"""Registers the toy components."""

import os

from pixcore import hookimpl

if "TOY_DIES_AT" in os.environ:
    import toy_pixcore.dying  # noqa: F401


@hookimpl
def register_model_adapters(register):
    register("toy", "toy_pixcore.components:ToyModel", config="toy_pixcore.config:ToyModelConfig", summary="counts")
    register(
        "toy-masks", "toy_pixcore.components:ToyMasks", config="toy_pixcore.config:ToyModelConfig", summary="masks"
    )


@hookimpl
def register_attention_extractors(register):
    register("toy-rows", "toy_pixcore.components:ToyRows", summary="keeps the last layer")


@hookimpl
def register_token_groupers(register):
    register("toy-each", "toy_pixcore.components:ToyEach", summary="a group a token")
    register("toy-stumbles", "toy_pixcore.components:ToyStumbles", summary="fails on some texts")


@hookimpl
def register_point_selectors(register):
    register("toy-peak", "toy_pixcore.components:ToyPeak", summary="the highest pixel")
    register("toy-anywhere", "toy_pixcore.components:ToyAnywhere", summary="a random pixel")


@hookimpl
def register_mask_generators(register):
    register(
        "toy-squares",
        "toy_pixcore.components:ToySquares",
        config="toy_pixcore.config:ToySquaresConfig",
        summary="three squares around a point",
    )
    register("toy-unsure", "toy_pixcore.components:ToyUnsure", summary="the same with scores that are no numbers")


@hookimpl
def register_selection_strategies(register):
    register("toy-first", "toy_pixcore.components:ToyFirst", summary="the first mask")
    register("toy-best", "toy_pixcore.components:ToyBest", summary="the best mask: an upper bound")
    register("toy-beyond", "toy_pixcore.components:ToyBeyond", summary="a candidate that is none, of one image")
    register("toy-careless", "toy_pixcore.components:ToyCareless", summary="raises, or gives what is not a record")
    register("toy-random", "toy_pixcore.components:ToyRandom", summary="any mask")


@hookimpl
def register_benchmarks(register):
    register(
        "toy-boxes", "toy_pixcore.components:ToyBoxes", config="toy_pixcore.config:ToyBoxesConfig", summary="boxes"
    )


@hookimpl
def register_judges(register):
    register("toy-sulky-judge", "toy_pixcore.components:ToySulkyJudge", summary="reads one letter and no more")
    register("toy-judge", "toy_pixcore.components:ToyJudge", summary="looks for the option's text")


@hookimpl
def register_commands(register):
    register("toy-greet", "toy_pixcore.commands:greet", summary="Says hello.")
    register("toy-box open", "toy_pixcore.commands:open_box", summary="Opens.")
    register("toy-box stuck", "toy_pixcore.nowhere:stuck", summary="Cannot be imported.")


@hookimpl
def register_run_writers(register):
    register("toy-count", "toy_pixcore.writers:Count", summary="counts the samples")
    register("toy-fails", "toy_pixcore.writers:Fails", summary="fails in the middle")
    register("toy-broken", "toy_pixcore.nowhere:Broken", summary="cannot be imported")
