"""The leak audit: whatever a reader's browser receives, tested for telling the two arms apart."""

from webapp.readings.audit.observation import Exchange, Observation
from webapp.readings.audit.report import AuditReport, Finding
from webapp.readings.audit.run import audit

__all__ = ["AuditReport", "Exchange", "Finding", "Observation", "audit"]
