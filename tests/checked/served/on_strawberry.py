"""Strawberry: a GraphQL query whose resolvers take their time."""

import asyncio

import strawberry
from strawberry.asgi import GraphQL

from asgi_disconnect import DisconnectMiddleware


@strawberry.type
class Query:
    @strawberry.field
    async def work(self) -> str:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.1)
        return "done"

    @strawberry.field
    async def more_work(self) -> str:
        await asyncio.sleep(30)
        return "done"


app = DisconnectMiddleware(GraphQL(strawberry.Schema(Query)))
