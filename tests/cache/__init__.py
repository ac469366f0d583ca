"""Cache: records, values, budget."""
