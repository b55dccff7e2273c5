"""The conformance suite: hold a plugin's component to the contract with small synthetic inputs.

One function a kind takes a component and returns what it found; `check_component` chooses by kind, and
`check_registration` takes what a plugin registered, makes the component and looks at its plugin too. In tests, the
classes of `pixcore_testing.contracts` say the same with less.

    from pixcore_testing.conformance import check_point_selector
    assert not check_point_selector(MySelector(MyConfig()))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from pixcore.components import Component, Config, Context
from pixcore.plugins import Kind, Registration
from pixcore_testing.adapters import check_model_adapter
from pixcore_testing.attention import check_attention_extractor, check_map_transform
from pixcore_testing.executing import check_executor
from pixcore_testing.findings import Finding, Report, page_of
from pixcore_testing.mining import check_mask_generator, check_point_selector, check_token_grouper
from pixcore_testing.modules import check_light, check_module
from pixcore_testing.scoring import check_benchmark, check_judge, check_selection_strategy

__all__ = [
    "CHECKS",
    "Finding",
    "check_attention_extractor",
    "check_benchmark",
    "check_component",
    "check_executor",
    "check_judge",
    "check_map_transform",
    "check_mask_generator",
    "check_model_adapter",
    "check_point_selector",
    "check_registration",
    "check_selection_strategy",
    "check_token_grouper",
]


def check_of(kind: Kind) -> str:
    """Name the function that holds a component of a kind to its contract."""
    return f"check_{kind.noun.replace(' ', '_')}"


CHECKS: Mapping[Kind, Callable[..., list[Finding]]] = {
    kind: globals()[check_of(kind)] for kind in Kind if check_of(kind) in globals()
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
    report = Report(page_of(registration.kind.value))
    found = check_offer(registration)
    with making(report):
        component = registration.create(config, context or Context())
        found += check_component(registration.kind, component, **options)
    return [*report.findings, *found]


def making(report: Report) -> AbstractContextManager[None]:
    """Open a step in which a component is made."""
    return report.step("component", "the class that is registered can be imported and made as Class(config, context)")


def check_offer(registration: Registration) -> list[Finding]:
    """Check how a component is offered, without making it."""
    report = Report(page_of(registration.kind.value))
    with report.step("registration"):
        report.one_line(registration.summary)
        if registration.config:
            check_light(report, registration.config.partition(":")[0])
    return [*report.findings, *check_module(registration.plugin)]


def check_component(kind: Kind, component: Component[Any], **options: Any) -> list[Finding]:
    """Check a component of any kind.

    Args:
        kind: The kind.
        component: One of it.
        options: Of the kind's own check, such as `geometry=False` for a model.
    """
    report = Report(page_of(kind.value))
    with report.step("component"):
        if not report.instance(component, "the component", kind.interface):
            return report.findings
        made = report.instance(getattr(component, "context", None), "component.context", Context)
        made = made and report.instance(getattr(component, "config", None), "component.config", Config)
        if not made:
            return report.findings
        _check_config(report, component.config)
    if report.broken:
        return report.findings
    own: list[Finding] = []
    if kind in CHECKS:
        own = CHECKS[kind](component, **options)
    else:
        report.note(f"there is no {check_of(kind)}: nothing that is a {kind.noun}'s alone was looked at")
    with report.step("close"):
        component.close()
        component.close()  # a run that fails may close twice
    return [*report.findings, *own]


def _check_config(report: Report, config: Config) -> None:
    given = config.fingerprint()
    if report.instance(given, "config.fingerprint()", str):
        again = config.model_copy().fingerprint()
        report.expect(given == again, "config.fingerprint() is the same every time", "another the second time")
    unknown = sorted(config.not_in_key - type(config).model_fields.keys())
    report.expect(not unknown, "not_in_key names fields of the config", ", ".join(map(repr, unknown)))
    settings = type(config).model_config
    extra = settings.get("extra")
    report.expect(extra == "forbid", "a config forbids unknown keys (extra='forbid')", f"extra={extra!r}")
    report.expect(bool(settings.get("frozen")), "a config never changes (frozen=True)", "frozen=False")
