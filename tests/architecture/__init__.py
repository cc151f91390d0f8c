"""The house rules that a machine can hold: who may import what, and who may touch the host."""
