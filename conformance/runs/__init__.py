"""Many cases: processes and shards, gates, matrices, searches, and what a run would have caught."""
