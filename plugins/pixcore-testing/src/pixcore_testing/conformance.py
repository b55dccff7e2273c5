"""The conformance suite: hold a plugin's component to the contract with small synthetic inputs.

One function a kind takes a component and returns what it found; `check_component` chooses by kind, and
`check_registration` takes what a plugin registered, makes the component and looks at the plugin's lightness too.

    from pixcore_testing.conformance import check_point_selector
    assert not check_point_selector(MySelector(MyConfig()))
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pixcore.components import Component, Config, Context
from pixcore.plugins import Kind, Registration, entry_points
from pixcore_testing.adapters import check_model_adapter
from pixcore_testing.attention import check_attention_extractor, check_map_transform
from pixcore_testing.findings import Finding, Report
from pixcore_testing.mining import check_mask_generator, check_point_selector, check_token_grouper
from pixcore_testing.scoring import check_benchmark, check_judge, check_selection_strategy

__all__ = [
    "CHECKS",
    "Finding",
    "check_attention_extractor",
    "check_benchmark",
    "check_component",
    "check_judge",
    "check_map_transform",
    "check_mask_generator",
    "check_model_adapter",
    "check_point_selector",
    "check_registration",
    "check_selection_strategy",
    "check_token_grouper",
]

HEAVY = ("torch", "transformers", "spacy", "openai", "tensorflow", "jax")
"""What a plugin module may not import: it is loaded with every command."""

CHECKS: Mapping[Kind, Callable[..., list[Finding]]] = {
    kind: globals()[kind.check] for kind in Kind if kind.check in globals()
}
"""The check of each kind: the function above that has its name."""


def check_registration(
    registration: Registration, config: Config, context: Context | None = None, **options: Any
) -> list[Finding]:
    """Check what a plugin registered: it is light, its names lead somewhere, its component keeps the contract.

    Args:
        registration: From `pixcore.plugins.registry()`.
        config: The component's config.
        context: What the component may know of a run.
        options: Of the kind's own check, such as `geometry=False` for a model.
    """
    report = Report()
    with report.step("registration"):
        summary = registration.summary
        report.expect(bool(summary.strip()) and "\n" not in summary, f"the summary should be one line, is {summary!r}")
        modules = [found.module for found in entry_points() if found.name == registration.plugin]
        if registration.config:
            modules.append(registration.config.partition(":")[0])
        for module in modules:
            _check_light(report, module)
    with report.step("component"):
        component = registration.create(config, context or Context())
        report.findings += check_component(registration.kind, component, **options)
    return report.findings


def check_component(kind: Kind, component: Component[Any], **options: Any) -> list[Finding]:
    """Check a component of any kind; the options are those of the kind's own check."""
    report = Report()
    with report.step("component"):
        if not report.instance(component, "the component", kind.interface):
            return report.findings
        report.instance(component.context, "component.context", Context)
        if report.instance(component.config, "component.config", Config):
            report.instance(component.config.fingerprint(), "config.fingerprint()", str)
            settings = type(component.config).model_config
            report.expect(settings.get("extra") == "forbid", "the config should forbid unknown keys")
            report.expect(bool(settings.get("frozen")), "the config should be frozen")
    if kind in CHECKS:
        report.findings += CHECKS[kind](component, **options)
    else:
        report.note(f"there is no {kind.check}: nothing that is a {kind.noun}'s alone was looked at")
    with report.step("close"):
        component.close()
        component.close()  # a run that fails may close twice
    return report.findings


def _check_light(report: Report, module: str) -> None:
    """Plugin and config modules are imported with every command: in a process of their own, what comes with them?"""
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    loaded = done.stdout.split()
    report.expect(done.returncode == 0, f"importing {module} alone fails: {''.join(done.stderr.splitlines()[-1:])}")
    report.expect(not loaded, f"importing {module} loads {', '.join(loaded)}; name classes as 'module:Class' instead")
