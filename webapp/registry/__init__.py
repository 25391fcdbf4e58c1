"""Generative models: versions, weights, licences, cards."""
