"""Serve a page to this machine alone."""

from pixcore_loopback.application import HOST, Headed, answer, application, body_of, guards, policy
from pixcore_loopback.server import Server, here

__all__ = ["HOST", "Headed", "Server", "answer", "application", "body_of", "guards", "here", "policy"]
