"""Passes messages between the server and the app."""
