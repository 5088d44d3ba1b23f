#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program whose memory may never be both writable and executable, as systemd's MemoryDenyWriteExecute= asks.

usage: no_exec_gain.py COMMAND [ARGUMENT...]      Linux 6.3 or later; before, it only runs the program.
"""
import ctypes
import os
import sys

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
    print("this kernel does not know PR_SET_MDWE", file=sys.stderr)
os.execvp(sys.argv[1], sys.argv[1:])
