"""Trainers shared by the two stages."""
