"""A static site from the records of runs that people send: a board per protocol, ranks without false order."""

from ivgbench.report.leaderboard.site import build as build
