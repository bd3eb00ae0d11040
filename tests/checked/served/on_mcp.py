"""MCP: a tool that takes its time, over streamable HTTP."""

import asyncio

from mcp.server.mcpserver import MCPServer

from asgi_disconnect import DisconnectMiddleware

server = MCPServer("slow")


@server.tool()
async def work() -> str:
    """Take some time."""
    await asyncio.sleep(3)
    return "done"


app = DisconnectMiddleware(server.streamable_http_app(stateless_http=True))
