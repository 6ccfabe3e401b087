"""A filter of system calls for `bwrap --seccomp`: what holds memory that no process's resident set
shows, or opens more of the kernel than a student's code needs.

A seccomp filter is a BPF program of 8-byte instructions (operation, two jump distances, a constant)
over the call's number at byte 0, its architecture at 4 and its arguments, 8 bytes each, from 16.
"""

import errno
import os
import platform
import struct

_LOAD, _EQUAL, _ANY_BIT, _AND, _RETURN, _AT_LEAST = 0x20, 0x15, 0x45, 0x54, 0x06, 0x35
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NEW_USER = 0x10000000  # a user namespace: mounts of one's own
_SHARED_ANONYMOUS = 0x21  # pages that stay when the process that has touched them ends

# machine -> (its audit architecture, clone, mmap, shmget, memfd_create, others that are refused:
# semget, msgget, mq_open, mount, unshare, setns, add_key, request_key, keyctl, ptrace,
# perf_event_open, bpf, userfaultfd)
_REFUSED = {
    "x86_64": (0xC000003E, 56, 9, 29, 319, (64, 68, 240, 165, 272, 308, 248, 249, 250, 101, 298,
                                            321, 323)),
    "aarch64": (0xC00000B7, 220, 222, 194, 279, (190, 186, 180, 40, 97, 268, 217, 218, 219, 117,
                                                 241, 280, 282)),
}  # fmt: skip
_NEWER = (425, 428, 429, 430, 432)  # io_uring_setup, open_tree, move_mount, fsopen, fsmount
_MEMFD_SECRET = 447
_CLONE3 = 435  # its flags lie in memory, where no filter can look: the C library then uses clone


def program(machine=None):
    """The filter's bytes, or None for a machine whose numbers are not known here."""
    if (machine or platform.machine()) not in _REFUSED:
        return None
    architecture, clone, mmap, shmget, memfd, refused = _REFUSED[machine or platform.machine()]
    no, missing, full = (_ERRNO | code for code in (errno.EPERM, errno.ENOSYS, errno.ENOMEM))
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, no), (_LOAD, 0, 0, 0)]
    lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, no)]  # x86's other numbering
    answers = dict.fromkeys((*refused, *_NEWER), no) | {_CLONE3: missing, shmget: _KILL}
    for number, answer in (answers | dict.fromkeys((memfd, _MEMFD_SECRET), full)).items():
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    lines += [(_EQUAL, 0, 4, clone), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NEW_USER),
              (_RETURN, 0, 0, no), (_RETURN, 0, 0, _ALLOW)]  # fmt: skip
    lines += [(_EQUAL, 0, 4, mmap), (_LOAD, 0, 0, 16 + 3 * 8), (_AND, 0, 0, _SHARED_ANONYMOUS),
              (_EQUAL, 0, 1, _SHARED_ANONYMOUS), (_RETURN, 0, 0, full)]  # fmt: skip
    lines += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def opened():
    """A file descriptor to read the program from; the caller closes it."""
    out, into = os.pipe()
    os.write(into, program())
    os.close(into)
    return out
