"""What is wrong with a folder of photos, one file a check. NumPy alone, but for probable label errors."""

from sortograph.auditing.run import CHECKS, run_audit
from sortograph.auditing.view import AuditView, LookAlikes

__all__ = ["CHECKS", "AuditView", "LookAlikes", "run_audit"]
