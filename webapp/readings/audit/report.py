"""What the leak audit says: each finding, the verdict, and both in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

BLOCKED, ACCEPTANCE, CLEAR = "blocked", "acceptance", "clear"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that tells the arms apart, or names a source.

    found_by: "rule", "feature" or "classifier" (of all features of the family); with the latter two
    come `auc`, cross-validated, its 95% interval `low` to `high` and the adjusted `p`. words: how the
    feature tells, such as "is larger in synthetic items". examples: values per arm.
    """

    feature: str
    family: str
    found_by: str
    words: str
    auc: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    examples: Mapping[str, list[str]]

    def sentence(self) -> str:
        """The finding as a person reads it."""
        kind = "what the browser is told" if self.family == "metadata" else "the pixels"
        told = f"In {kind}, “{self.feature}” {self.words}"
        if self.auc is not None and self.low is not None and self.high is not None and self.p is not None:
            told += (
                f": AUC {self.auc:.2f} (95% interval {self.low:.2f} to {self.high:.2f}), {p_words(self.p)}"
            )
        shown = "; ".join(f"{arm}: {', '.join(values)}" for arm, values in self.examples.items() if values)
        return f"{told}. For example {shown}." if shown else f"{told}."


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The whole audit; `to_json` and `from_json` keep it.

    verdict: "blocked" (metadata leaks: no launch), "acceptance" (the lead must accept pixel leaks, or
    that the audit could see little, in writing) or "clear". p: of the whole audit, by the largest
    statistic of all. classifiers: per family and classifier the cross-validated AUC, interval and p.
    detectable_auc: the AUC that a single feature needed to be found; None where none could be.
    notes: what was the same for all items but need not be sent, and the limits of the test.
    """

    verdict: str
    sentences: list[str]
    findings: list[Finding]
    classifiers: list[dict[str, Any]]
    notes: list[str]
    items: dict[str, int]
    clusters: dict[str, int]
    features: dict[str, int]
    statistics: int
    permutations: int
    seed: int
    level: float
    p: float
    detectable_auc: float | None

    @property
    def is_blocked(self) -> bool:
        """Whether the study must not be launched."""
        return self.verdict == BLOCKED

    @property
    def needs_acceptance(self) -> bool:
        """Whether the lead has to accept in writing what was found."""
        return self.verdict == ACCEPTANCE or any(one.family == "pixels" for one in self.findings)

    def leaks(self, family: str) -> list[Finding]:
        """The findings of one family, as they stand in the report."""
        return [finding for finding in self.findings if finding.family == family]

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        plain = asdict(self)
        for finding, one in zip(plain["findings"], self.findings, strict=True):
            finding["sentence"] = one.sentence()
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The report that `to_json` wrote."""
        known = {field.name for field in fields(Finding)}
        findings = [Finding(**{k: v for k, v in one.items() if k in known}) for one in values["findings"]]
        return cls(**{**values, "findings": findings})


def p_words(p: float) -> str:
    """A p-value as text."""
    return f"adjusted p {p:.3f}" if p >= 0.001 else "adjusted p below 0.001"
