"""What was checked, and what did not hold."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any


class Report:
    """Goes on after a failure, so that one run says everything."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.failures: list[str] = []

    def check(self, what: str, holds: object, seen: object) -> None:
        """Notes whether something holds; if not, with what was seen."""
        if holds:
            self.held.append(what)
        else:
            self.failures.append(f"{what}: {seen!r}"[:500])

    def compare(self, what: str, holds: Callable[[Any], object], answer: Any) -> None:
        """The same of an answer; a check that cannot be made is a failure too."""
        try:
            held = holds(answer)
        except Exception:
            held = False
            self.failures.append(f"{what}: {traceback.format_exc()}")
        self.check(what, held, answer)

    def fail(self, what: str) -> None:
        """Notes the exception that is being handled."""
        self.failures.append(f"{what}: {traceback.format_exc()}")

    def result(self) -> dict[str, object]:
        """For printing."""
        return {"ok": not self.failures, "held": self.held, "failures": self.failures}
