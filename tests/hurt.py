"""Opens files one by one, each in a process of its own, and says what that took.

Reads lines of JSON from its input, [what, path], and answers each with one: what came of it, how
long it took, the most memory that the process had, and whether it tried to do more than read.
"""

import json
import os
import resource
import sys
import time
import warnings

from PIL import Image

from minigan import files, toy  # noqa: F401
from minigan.data import images
from minigan.files import nvidia  # noqa: F401
from minigan.networks import reader, stylegan1, stylegan3  # noqa: F401
from minigan.training import feature_discriminator  # noqa: F401

WAYS = {
    "load": files.load,
    "read": files.read,
    "networks": files.read_networks,
    "pictures": lambda path: images.Images(path, 8),
}
DOING = ("subprocess", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile",
         "pickle", "socket", "ctypes.dlopen", "shutil", "os.remove", "os.rename", "os.mkdir")  # fmt: skip


def watch(doing):
    def hook(event, args):
        writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event.startswith(DOING):
            doing.append(f"{event} {args[:1]}")

    sys.addaudithook(hook)


def opened(way, path):
    doing, said = [], []
    watch(doing)
    begun = time.process_time()
    with warnings.catch_warnings(record=True) as lines:
        warnings.simplefilter("always")
        try:
            WAYS[way](path)
            came = "read"
        except Exception as error:
            came, said = type(error).__name__, [str(error)]
    return {"came": came, "said": said + [str(line.message) for line in lines], "doing": doing,
            "seconds": time.process_time() - begun}  # fmt: skip


def main():
    Image.init()
    for line in sys.stdin:
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
            os.write(into, json.dumps(opened(*json.loads(line))).encode()[: 1 << 20])
            os._exit(0)
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            answer = pipe.read()
        _, status, usage = os.wait4(child, 0)
        found = (
            json.loads(answer) if answer else {"came": f"died of {status}", "said": [], "doing": []}
        )
        found = {"seconds": 0, **found, "MB": usage.ru_maxrss // 1024}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
