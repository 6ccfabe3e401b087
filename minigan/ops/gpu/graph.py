"""A function's launches recorded in a CUDA graph, and started as one.

Each launch is work for the CPU, and a generator is a chain of many small ones (lesson 07 counts
them).  A graph keeps the launches, with the addresses they use,
so nothing may move: inputs, results and everything between live in memory of the graph's own.
"""

from minigan.device import cupy


class Graph:
    """function(*arrays), CuPy arrays of the examples' shapes and dtypes, in one launch.

    The function must do all its work on the GPU, and not depend on values.  Calls return copies.
    They follow each other on one stream; a graph must not run on two streams at once.
    Raises: RuntimeError if CUDA or CuPy cannot record what the function does.
    """

    def __init__(self, function, *examples):
        cp = cupy()
        before = cp.cuda.get_current_stream().record()
        stream = cp.cuda.Stream(non_blocking=True)  # recording would be disturbed by the default's
        stream.wait_event(before)
        self._pool = cp.cuda.MemoryPool()  # freed memory stays here, for the graph alone
        with cp.cuda.using_allocator(self._pool.malloc), stream:
            self._inputs = [example.copy() for example in examples]
            function(*self._inputs)  # compiles kernels, sends filters, allocates
            stream.synchronize()
            stream.begin_capture()
            try:
                self._result = function(*self._inputs)
            except Exception as error:
                _abandon(stream)
                raise RuntimeError(f"a CUDA graph cannot record this function: {error}") from error
            self._graph = stream.end_capture()

    def __call__(self, *arrays):
        for mine, a in zip(self._inputs, arrays, strict=True):
            mine[...] = a
        self._graph.launch(cupy().cuda.get_current_stream())
        return self._result.copy()


def _abandon(stream):
    try:
        stream.end_capture()
    except Exception:  # what failed is told already, by the one who calls this
        return
