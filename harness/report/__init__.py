"""One page for a set of runs: tables, curves, costs, heat maps and where every number is from."""
