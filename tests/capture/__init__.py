"""Capture: model and input to records."""
