"""Two models for Gauntlet."""
