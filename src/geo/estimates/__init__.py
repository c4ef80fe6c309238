"""Areas and accuracies estimated from interpreted samples."""
