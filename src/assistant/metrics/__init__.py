"""From a query to measured evidence, by kind of measurement."""
