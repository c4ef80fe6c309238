"""From words to a query: words, times, slots, rules, follow-ups."""
