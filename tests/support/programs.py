"""Small programs that stand in the place of others on this machine."""

import sys
from pathlib import Path

# Runs the real program with further options before the last word.
WRAPPED = """exec {python} -c 'import os, sys; real, *words = sys.argv[1:]
os.execv(real, [real, *words[:-1], *"{options}".split(), words[-1]])' {real} "$@"
"""


def program(file: Path, lines: str) -> Path:
    """Writes a shell script that can be run."""
    file.write_text(f"#!/bin/sh\n{lines}\n")
    file.chmod(0o755)
    return file


def wrapped(file: Path, real: str, options: str) -> Path:
    """Writes a program that runs another one with further options before its last word."""
    return program(file, WRAPPED.format(python=sys.executable, options=options, real=real))
