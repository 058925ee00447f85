"""Metrics: functions of arrays, without models or data sets."""
