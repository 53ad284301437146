"""Collects everything that is wrong with the settings, so that the operator sees all of it at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self


class SettingsError(ValueError):
    """The settings cannot be used. `faults` has one sentence for each reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class SettingFaults:
    """The faults of the settings, or of one place within them: sentences, in the order in which they were found.

    Not `errors.FieldFaults`: that one gives a client texts by field, nested as the contract says, and a later
    text replaces an earlier one of the same field. An operator reads lines, and one place can have several faults.
    """

    def __init__(self) -> None:
        self._place = ""
        self._texts: list[str] = []

    def within(self, place: str) -> Self:
        """The same collection; `place` begins each text that is added through it."""
        inner = type(self)()
        inner._place = self._place + place
        inner._texts = self._texts
        return inner

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """Add one fault of this place."""
        self._texts.append(self._place + text)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Add the faults of a SettingsError that the block raises, or the text of another ValueError."""
        try:
            yield
        except SettingsError as failure:
            for text in failure.faults:
                self.add(text)
        except ValueError as failure:
            self.add(str(failure))

    def check(self) -> None:
        """Raises SettingsError with every fault, if there is any."""
        if self._texts:
            raise SettingsError(self._texts)
