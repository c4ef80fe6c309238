"""Conversations: formats, images, batches."""
