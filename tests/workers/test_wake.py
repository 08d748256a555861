"""Messages to workers where nobody takes them."""

import json
from io import StringIO
from pathlib import Path

import pytest

from bureau.models import BatchId, EncoderId, Pool
from config import logging
from workers import wake
from workers.app import app


def test_a_broker_that_is_down_costs_a_message_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tells a pool, a line or the office goes on: the stint that just made cards must not end as failed."""
    log = StringIO()
    logging.configure(log)
    monkeypatch.setitem(app.conf, "broker_url", f"redis+socket://{tmp_path / 'nobody'}")
    wake.pool(Pool("pool.x"), 2)
    wake.line(EncoderId("sim1"), [Pool("pool.x")])
    wake.closed(BatchId(1))
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert [event for event in events if event != "batch_closed"] == ["broker_silent"] * 3
