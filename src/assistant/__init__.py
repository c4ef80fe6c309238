"""From a question in everyday words to a checked answer: query, evidence, answer, check."""
