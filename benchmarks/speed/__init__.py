"""How fast glovebox is, as ratios against the bare thing measured in the same run."""
