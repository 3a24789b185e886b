"""ivgbench: benchmark and evaluation harness for training-free, box-controlled text-to-video generation."""

from ivgbench.cases import Case, Subject
from ivgbench.suites import load_suite

__version__ = "0.1.0"
__all__ = ["Case", "Subject", "load_suite"]
