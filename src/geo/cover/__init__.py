"""Land cover: training pixels, features, classifier, rules, validation."""
