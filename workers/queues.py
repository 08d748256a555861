"""The names of queues. A worker's queue tells what the worker is."""

from typing import Final

OFFICE: Final = "office"
"""The queue of feed, reap and purge."""
LINE: Final = "line."
"""Prefix of an encoder's own queue."""
POOL: Final = "pool."
"""Prefix of a pool's name, which is the name of the queue that all its open encoders listen to."""
BEAT: Final = "beat"
"""No queue: the process that sends feed, reap and purge when their time has come."""
