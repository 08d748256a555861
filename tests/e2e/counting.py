"""Says at the end of a test run at how many points the process was killed or stopped; a pytest plugin."""

from typing import Final

import pytest

COUNTED: Final = "killed"
"""The property under which a test records its line."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the lines that tests recorded, in whichever process they ran."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [str(value) for report in reports for name, value in getattr(report, "user_properties", ()) if name == COUNTED]
    if lines:
        terminalreporter.section("kill test")
        for line in sorted(lines):
            terminalreporter.write_line(line)
