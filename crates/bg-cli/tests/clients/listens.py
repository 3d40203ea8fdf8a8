"""A long call as the MCP SDK for Python has it when it speaks the Tasks extension: it never asks for the
result, it listens for it.

Arguments: `stdio`, the program of the server and its arguments; or `http`, its address and a token.
Prints `ok` at the end; an assertion that fails is an exit status that is not 0.
"""

import asyncio
import sys
from typing import Any, Literal

import mcp_types as types
from mcp.client.extension import ClientExtension, NotificationBinding, ResultClaim
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from connected import connected, does


class Task(types.Result):
    """What a call is answered with that is not answered yet."""

    result_type: Literal["task"] = "task"
    task_id: str
    status: str


class Told(BaseModel):
    """A task as a notification has it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow")

    task_id: str
    status: str
    result: dict[str, Any] | None = None


class Tasks(ClientExtension):
    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self):
        self.told = []
        self.ended = {}
        self.begun = asyncio.Event()

    def claims(self):
        return [ResultClaim(result_type="task", model=Task, resolve=self.resolve)]

    def notifications(self):
        return [NotificationBinding(method="notifications/tasks", params_type=Told, handler=self.hear)]

    async def hear(self, told):
        self.told.append(told.status)
        if told.status == "working":
            self.begun.set()
        else:
            self.future(told.task_id).set_result(told)

    def future(self, task):
        return self.ended.setdefault(task, asyncio.get_running_loop().create_future())

    async def resolve(self, task, context):
        wanted = types.SubscriptionFilter.model_validate({"taskIds": [task.task_id]})
        params = types.SubscriptionsListenRequestParams(notifications=wanted)
        request = types.SubscriptionsListenRequest(params=params)
        # Answered when there is nothing more to tell.
        await context.session.send_request(request, types.SubscriptionsListenResult)
        told = await asyncio.wait_for(self.future(task.task_id), 20)
        assert told.status == "completed", told
        return types.CallToolResult.model_validate(told.result)


async def main(kind, where):
    tasks = Tasks()
    async with connected(kind, where, extensions=[tasks]) as client:
        command = "read line; echo got $line"
        call = does(client, "Bash", command=command, interactive=True, timeout_secs=600)
        call = asyncio.create_task(call)
        await asyncio.wait_for(tasks.begun.wait(), 20)
        await does(client, "SendToTask", task_id="process:1", message="it")
        answer = await asyncio.wait_for(call, 20)
        assert answer["status"] == "exited" and answer["output"]["text"] == "got it\n", answer
        assert tasks.told == ["working", "completed"], tasks.told
        assert await does(client, "ListBackgroundTasks") == [], "told once"
    print("ok", flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
