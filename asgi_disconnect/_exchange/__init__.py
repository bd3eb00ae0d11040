"""The way of messages between the server and the app."""
