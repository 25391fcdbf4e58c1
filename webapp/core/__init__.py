"""What every app stands on: base records, errors, permissions, the audit trail, the frame of the pages."""
