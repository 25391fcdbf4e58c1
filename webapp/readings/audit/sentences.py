"""The audit's verdict and what a lead reads first."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.readings.audit.columns import METADATA, PIXELS
from webapp.readings.audit.report import ACCEPTANCE, BLOCKED, CLEAR, AuditReport, Finding, p_words

NAMED = 5  # findings of a family that the summary spells out


def verdict_of(findings: Sequence[Finding], *, can_test: bool) -> str:
    """Blocked by any metadata leak; acceptance for pixel leaks or where nothing could be tested."""
    if any(finding.family == METADATA for finding in findings):
        return BLOCKED
    return ACCEPTANCE if findings or not can_test else CLEAR


def sentences(report: AuditReport) -> list[str]:
    """The whole report in plain sentences: the verdict, the findings, what the test could have found."""
    return [
        _verdict(report),
        *_family(report, METADATA),
        *_family(report, PIXELS),
        *_method(report),
        *report.notes,
    ]


def _verdict(report: AuditReport) -> str:
    if report.verdict == BLOCKED:
        return (
            "The study cannot be launched: something that is sent along with the images tells real from "
            "synthetic, or names a source."
        )
    if report.verdict == CLEAR:
        return "Nothing that a reader's browser receives was found to tell real from synthetic."
    if report.leaks(PIXELS):
        return (
            "Simple statistics of the pixels tell real from synthetic, without looking at what the images "
            "show. The study can be launched only when its lead accepts this in writing."
        )
    return (
        "There are too few items for the audit to find a leak by statistics. The study can be launched only "
        "when its lead accepts this in writing."
    )


def _family(report: AuditReport, family: str) -> list[str]:
    found = report.leaks(family)
    told = [finding.sentence() for finding in found[:NAMED]]
    if len(found) > NAMED:
        told.append(f"{len(found) - NAMED} more of this kind are listed below.")
    return told


def _method(report: AuditReport) -> list[str]:
    per_arm = " and ".join(f"{count} {arm}" for arm, count in report.items.items())
    groups = " and ".join(str(report.clusters[arm]) for arm in report.items)
    whole = p_words(report.p).removeprefix("adjusted ")
    told = [
        f"{per_arm} items ({groups} independent patients or cases) were compared by {report.statistics} "
        f"statistics of {report.features[METADATA]} features of what the browser is told and "
        f"{report.features[PIXELS]} of the pixels, in one permutation test over all of them "
        f"({report.permutations} permutations, seed {report.seed}): {whole} "
        f"for the audit as a whole. With arms alike it names anything in at most {report.level:.0%} of "
        "studies."
    ]
    if report.detectable_auc is not None:
        told.append(
            f"With this many items a single feature is found when its AUC is about "
            f"{report.detectable_auc:.2f} or more; a weaker leak would have been missed."
        )
    return told
