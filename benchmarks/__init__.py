"""Side-by-side measurements; each module prints one JSON line: ours and the reference, taken in one run."""
