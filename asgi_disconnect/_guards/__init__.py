"""Runs the app and the tasks beside it, and cancels them, on asyncio and on trio."""
