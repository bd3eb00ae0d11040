"""§9, WebSockets."""
