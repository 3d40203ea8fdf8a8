"""The life of background commands, seen by the MCP SDK for Python.

Arguments: `stdio`, the program of the server and its arguments; or `http`, its address and a token
("" for none). Prints `ok` at the end; an assertion that fails is an exit status that is not 0.
With `leave MARK` as the last arguments it starts a command that goes on, says so, and waits to be
killed.
"""

import asyncio
import sys
import time

from connected import connected, does


async def life(client):
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {"Bash", "ListBackgroundTasks", "WaitTask", "CancelTask"} <= tools.keys(), tools.keys()
    assert tools["ListBackgroundTasks"].annotations.read_only_hint
    assert tools["Bash"].annotations.destructive_hint

    # In the background: its id at once, and a place in the list.
    command = "echo begun; read line; echo got $line"
    begun = await does(client, "Bash", command=command, background=True, interactive=True)
    task = begun["task_id"]
    listed = await does(client, "ListBackgroundTasks")
    assert [row["task_id"] for row in listed] == [task], listed

    # Waiting tells how far it is, and not too often.
    told = []
    since = time.monotonic()

    async def progress(done, total, message):
        told.append(message)

    args = {"task_id": task, "timeout_secs": 1}
    await client.call_tool("WaitTask", args, progress_callback=progress)
    most = 2 + 4 * (time.monotonic() - since)
    assert 1 <= len(told) <= most, (told, most)

    # Read twice: the second time from where the first one ended.
    await does(client, "SendToTask", task_id=task, message="it")
    waited = await does(client, "WaitTask", task_id=task)
    assert waited["status"] == "exited" and waited["exit_code"] == 0, waited
    first = await does(client, "ReadTaskOutput", task_id=task, cursor=0)
    assert first["text"] == "begun\ngot it\n", first
    again = await does(client, "ReadTaskOutput", task_id=task, cursor=first["next_cursor"])
    assert not again.get("text"), again
    assert await does(client, "ListBackgroundTasks") == [], "delivered once"

    # A stop answers with a receipt.
    slow = (await does(client, "Bash", command="sleep 1000 & sleep 1000", background=True))["task_id"]
    stopped = await does(client, "CancelTask", task_id=slow)
    assert stopped["cancelled"], stopped
    if "receipt" not in stopped:
        # It had not ended yet.
        stopped = await does(client, "WaitTask", task_id=slow)
    assert stopped["receipt"]["verdict"] == "gone", stopped

    # A mistake is an answer.
    wrong = await client.call_tool("WaitTask", {"task_id": "process:99"})
    assert wrong.is_error and "process:99" in wrong.content[0].text, wrong


async def patience(client):
    """A client whose own patience ends cancels its request, and what it started goes on."""
    call = client.call_tool("Bash", {"command": "sleep 1000"}, read_timeout_seconds=1)
    try:
        await call
    except Exception:
        pass
    else:
        raise AssertionError("it was answered")
    running = []
    while not running:
        listed = await does(client, "ListBackgroundTasks")
        # A row that has not changed since it was told does not say it again.
        running = [row["task_id"] for row in listed if row.get("status") == "running"]
    [task] = running
    await does(client, "CancelTask", task_id=task)


async def main(kind, where):
    mark = where[-1] if where[-2] == "leave" else None
    where = where[:-2] if mark else where
    async with connected(kind, where) as client:
        if mark:
            await does(client, "Bash", command=f"sleep 1000; echo {mark}", background=True)
            print("left", flush=True)
            await asyncio.Event().wait()
        await life(client)
        await patience(client)
    print("ok", flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
