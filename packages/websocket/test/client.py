"""Connects as asked by a line of JSON, says what it is told to, and prints what it saw as JSON."""

import asyncio
import json
import sys

import websockets

HEADERS = "additional_headers" if int(websockets.__version__.split(".")[0]) >= 14 else "extra_headers"


async def visit(url, headers=None, say=(), until=None, **options):
    seen = []
    try:
        async with websockets.connect(url, **{HEADERS: headers or {}}, **options) as socket:
            for text in say:
                await socket.send(text)
            while until is None or len(seen) < until:
                seen.append(await socket.recv())
            await socket.close()
            answer = getattr(socket, "response_headers", None) or socket.response.headers
            cookies, protocol = answer.get_all("Set-Cookie"), socket.subprotocol
    except websockets.exceptions.ConnectionClosed as closed:
        return {"messages": seen, "code": closed.code, "reason": closed.reason}
    except websockets.exceptions.InvalidHandshake as refused:
        response = getattr(refused, "response", refused)
        return {"status": response.status_code, "headers": dict(response.headers.raw_items())}
    return {"messages": seen, "cookies": cookies, "protocol": protocol}


print(json.dumps(asyncio.run(visit(**json.loads(sys.argv[1])))))
