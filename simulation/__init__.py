"""The whole service in a simulated world: customers, operators, Meta, a model, an archive, a disk, and their bad days.

One process, virtual time, and all chance from one seed: one seed is one run, bit for bit. `world` puts a run together.
`timeline` is time and what dies with a process; `disk`, `wires`, `meta`, `model` and `archive` are what the service
touches, and `programs` are told by it; `customers` and `operators` are people; `faults` are bad days; `witness` knows
what the world saw, and nothing of the service. `python -m simulation` runs seeds, and makes the trace of a finding
small (`shrink`).
"""
