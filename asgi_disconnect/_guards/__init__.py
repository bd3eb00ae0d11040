"""What runs the app and the tasks beside it, and how it cancels: on asyncio and on trio."""
