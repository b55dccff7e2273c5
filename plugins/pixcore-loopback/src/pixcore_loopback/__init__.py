"""Serve a page to this machine alone."""

from pixcore_loopback.application import answer, application, body_of, policy
from pixcore_loopback.server import Server

__all__ = ["Server", "answer", "application", "body_of", "policy"]
