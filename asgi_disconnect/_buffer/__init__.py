"""Buffers what the app has not read yet, in memory and on the disk."""
