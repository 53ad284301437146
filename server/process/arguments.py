"""What one program of the service gives to the next one on its command line."""

import dataclasses
import json
from typing import Self


@dataclasses.dataclass(frozen=True)
class Argument:
    """Values that a program is started with, as one text of JSON."""

    def __str__(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse the text on the command line."""
        return cls(**json.loads(text))
