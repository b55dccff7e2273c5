"""Pixel grounding in multimodal LLMs: measured, mined, compared.

The whole public face is on this screen: what a notebook calls, and what a plugin imports. A name is looked up where it
stands when it is first asked for, so that `import pixcore` costs nothing. `__init__.pyi` tells editors and type
checkers the same; `pixcore.hookspecs` is the contract with plugins.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_FACE = {
    "pixcore_notebook": "Grounding Run ground open_run run",
    "pixcore.hookspecs": "Register RegisterCommand RegisterWriter hookimpl",
    "pixcore.components": """AttentionExtractor Benchmark Capability Component Config Context Judge MapTransform
        MaskGenerator ModelAdapter ModelConfig Needs NoConfig PointSelector SelectionStrategy TokenGrouper""",
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


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'pixcore' has no attribute {name!r}")
    try:
        module = import_module(_PLACES[name])
    except ModuleNotFoundError as error:
        if error.name != _PLACES[name]:
            raise
        plugin_error, package = import_module("pixcore.errors").PluginError, error.name.replace("_", "-")
        raise plugin_error(f"pixcore.{name} is not installed", hint=f"pip install {package}") from None
    globals()[name] = module if module.__name__ == f"pixcore.{name}" else getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return ["__version__", *sorted(_PLACES)]
