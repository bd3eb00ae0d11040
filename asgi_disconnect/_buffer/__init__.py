"""What has been read from the server and not yet by the app, in memory and on the disk."""
