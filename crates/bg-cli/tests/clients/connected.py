"""What the clients share: a connection of the MCP SDK for Python, and a call of a tool."""

import json
from contextlib import asynccontextmanager

import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client


@asynccontextmanager
async def connected(kind, where, **options):
    if kind == "stdio":
        transport = stdio_client(StdioServerParameters(command=where[0], args=where[1:]))
        async with Client(transport, **options) as client:
            yield client
        return
    url, token = where
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, **options) as client:
            yield client


async def does(client, tool, **args):
    """Calls a tool, which has to go well."""
    result = await client.call_tool(tool, args)
    text = result.content[0].text
    assert not result.is_error, text
    return json.loads(text)
