"""Bundles as an attacker would make them, each with the harm it does to somebody who trusts it."""

from __future__ import annotations

from tests.git.attacks import content, costs, objects, refs
from tests.git.attacks.base import Attack

ATTACKS: dict[str, Attack] = {**objects.ATTACKS, **refs.ATTACKS, **costs.ATTACKS, **content.ATTACKS}
