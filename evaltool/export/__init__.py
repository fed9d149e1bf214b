"""Artifacts: modules exported to files, verified there, described and checked again by anyone."""
