"""A module."""
import os
from typing import overload

__all__ = [
    "Shape",
    "area",
]
LIMIT: int = 3
LIMIT = 4
type Pair = tuple[int, int]


class Shape(Base):
    corners = 0

    @property
    def area(self) -> int:
        def inner(x):
            return f"{x} {LIMIT}"

        return inner(self.corners)

    async def draw(
        self,
        canvas,
    ) -> None:
        canvas.line("area")  # not area


if os:
    def area(shape):
        return shape.area
