"""Measures: engines, clocks, sensors and quality. Command line: ``python -m collector``."""
