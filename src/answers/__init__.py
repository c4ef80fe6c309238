"""Text to typed value and back, Chinese and English; standard library only."""
