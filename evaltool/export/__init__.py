"""Artifacts: modules exported to files, verified there, described, and checked again by anyone."""

from evaltool.export.fuse import FuseReport, fuse
from evaltool.export.job import export, verify

__all__ = ["FuseReport", "export", "fuse", "verify"]
