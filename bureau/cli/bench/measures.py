"""What a benchmark says: numbers, each beside its goal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number; *goal* is the most that it should be, or the least where *more* is better."""

    part: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    more: bool = False
    remark: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more else self.value <= self.goal

    @property
    def aim(self) -> str:
        """The goal and whether it is met, in words; empty where there is none."""
        if self.goal is None:
            return ""
        return f"{'at least' if self.more else 'at most'} {self.goal:g}: {'met' if self.met else 'not met'}"
