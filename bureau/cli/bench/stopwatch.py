"""Time by part: what the product does is timed from outside, by standing in for the doors between its rooms."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any


class Stopwatch:
    """Adds up seconds by part; what runs within another part is taken from that one's time."""

    def __init__(self) -> None:
        self.spent = defaultdict[str, float](float)
        self.longest = dict[str, float]()
        """The longest single call of each part, with what ran within it."""
        self._open: list[str] = []
        self._since = 0.0
        self._restores = ExitStack()

    def __enter__(self) -> "Stopwatch":
        return self

    def __exit__(self, *_fault: object) -> None:
        self._restores.close()

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Count what happens meanwhile as *part*."""
        self._turn()
        self._open.append(part)
        began = self._since
        try:
            yield
        finally:
            self._turn()
            self._open.pop()
            self.longest[part] = max(self.longest.get(part, 0.0), self._since - began)

    def calls(self, owner: object, name: str, part: str, before: Callable[[], None] = lambda: None) -> None:
        """Count every call of *owner*'s *name* as *part* until the end, first calling *before*."""

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                before()
                with self.during(part):
                    return function(*args, **kwargs)

            return call

        self._replace(owner, name, timed)

    def spans(self, owner: object, name: str, part: str) -> None:
        """Count as *part* what happens in each context that *owner*'s *name* opens, until the end."""

        def timed(function: Callable[..., AbstractContextManager[Any]]) -> Callable[..., AbstractContextManager[Any]]:
            @contextmanager
            def span(*args: Any, **kwargs: Any) -> Iterator[Any]:
                with self.during(part), function(*args, **kwargs) as given:
                    yield given

            return span

        self._replace(owner, name, timed)

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.spent[self._open[-1]] += now - self._since
        self._since = now

    def _replace(self, owner: object, name: str, timed: Callable[[Any], Any]) -> None:
        own = name in vars(owner)
        original = getattr(owner, name)
        setattr(owner, name, timed(original))
        self._restores.callback(setattr, owner, name, original) if own else self._restores.callback(delattr, owner, name)
