"""What the client's departure does to the app."""
