"""Measured against simulated: suites, hardware values, error reports."""
