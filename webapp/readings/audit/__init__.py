"""The leak audit: whatever a reader's browser receives, tested for telling the two arms apart."""
