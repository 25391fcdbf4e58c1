"""Requests, jobs and results."""
