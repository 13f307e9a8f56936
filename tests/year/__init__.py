"""A year of a simulated service provider, its oracle, and the walk through it hour by hour (issue 4)."""
