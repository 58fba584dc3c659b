"""Results: what a run found out, as frozen dataclasses with a JSON Schema, and the verdict on it."""
