"""The server of llama.cpp with one model, until stdin ends.

Arguments: the model's file, the number of slots, the tokens of one slot. Prints its address.
Whoever started it holds the other end of stdin, so it ends with that process, however that ends.
"""

import os
import sys

import xllamacpp


def main() -> None:
    model, slots, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = slots * tokens
    params.kv_unified = False
    params.endpoint_slots = True
    params.endpoint_metrics = True
    # Threads of it spin while they wait for each other, which a busy machine takes badly.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    # Threads of the server may hold the interpreter's end up.
    os._exit(0)


main()
