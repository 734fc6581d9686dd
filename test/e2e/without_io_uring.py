#!/usr/bin/env python3
"""without_io_uring.py COMMAND…: runs it where io_uring_setup is refused, as container runtimes do (seccomp)."""
import ctypes
import os
import struct
import sys

NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2  # prctl(2)
IO_URING_SETUP = 425  # on every architecture
REFUSE, ALLOW = 0x00050000 | 1, 0x7FFF0000  # SECCOMP_RET_ERRNO with EPERM


def instruction(code, yes, no, value):
    """struct sock_filter."""
    return struct.pack("HBBI", code, yes, no, value)


def refuse():
    program = b"".join((
        instruction(0x20, 0, 0, 0),               # load the number of the call
        instruction(0x15, 0, 1, IO_URING_SETUP),  # equal: the next one, else the one behind it
        instruction(0x06, 0, 0, REFUSE),
        instruction(0x06, 0, 0, ALLOW)))
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for what, first, second in ((NO_NEW_PRIVILEGES, 1, 0), (SET_SECCOMP, FILTER, ctypes.addressof(header))):
        if libc.prctl(what, ctypes.c_ulong(first), ctypes.c_ulong(second), 0, 0) != 0:
            sys.exit(f"prctl({what}): {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    refuse()
    os.execvp(sys.argv[1], sys.argv[1:])
