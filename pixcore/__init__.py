"""Pixel grounding in multimodal LLMs: measured, mined, compared.

The whole public face is on this screen: what a notebook calls, and what a plugin imports. A name is looked up where it
stands when it is first asked for, so that `import pixcore` costs nothing. `__init__.pyi` tells editors and type
checkers the same; `pixcore.hookspecs` is the contract with plugins.
"""

from importlib import import_module

__version__ = "0.1.0"

_FACE = {
    "pixcore_notebook": "ground run open_run Grounding Run",
    "pixcore.hookspecs": "Register RegisterCommand RegisterWriter hookimpl",
    "pixcore.components": """AttentionExtractor Benchmark Capability Component Config Context Executor Judge
        MapTransform MaskGenerator ModelAdapter ModelConfig Needs NoConfig PointSelector SelectionStrategy
        TokenGrouper""",
    "pixcore.records": """Candidate Fidelity Image MaskProposal PointPrompt Protocol ProtocolResult Request Response
        Sample SampleResult Score Selection Token TokenGroup Verdict""",
    "pixcore.errors": """ConfigError DataError ModelError NotFiniteError PixcoreError PluginError SampleError StoreError
        UserError""",
    "pixcore.geometry": "Box VisualGrid VisualLayout geometry",
    "pixcore.masks": "Mask RLE masks",
    "pixcore.notices": "notice tell_written",
    "pixcore.runs.writers": "RunWriter",
    "pixcore.figures.rows": "Figure Row RowSpec Summary",
    "pixcore.services": "Allowance Budget Expense Price",
}
"""Each public name by the module that has it; `masks` and `geometry` are modules themselves."""

_PLACES = {name: module for module, names in _FACE.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name == "__all__":
        return __dir__()
    if (place := _PLACES.get(name)) is None:
        raise AttributeError(f"module 'pixcore' has no attribute {name!r}")
    if not _is_there(place):
        hint = f"pip install {place.replace('_', '-')}"
        raise import_module("pixcore.errors").PluginError(f"pixcore.{name} is not installed", hint=hint)
    module = import_module(place)
    globals()[name] = module if place == f"pixcore.{name}" else getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return ["__version__", *sorted(name for name, place in _PLACES.items() if _is_there(place))]


def _is_there(place: str) -> bool:
    if place.startswith("pixcore."):
        return True
    from importlib.util import find_spec  # half of what `pixcore --help` does without

    return find_spec(place) is not None
