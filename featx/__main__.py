"""The ``featx`` command as a process: a signal ends it with one line and code 130, from its imports to its end."""

from __future__ import annotations

import sys

from featx.signals import ignore_signals, interrupt_on_signals


def main() -> None:
    """Runs the command line."""
    try:
        interrupt_on_signals()
        from featx.cli import main as run  # typer takes a tenth of a second

        run()
    except KeyboardInterrupt:
        ignore_signals()
        from featx.output.console import complain

        complain("stopped", 130)
        sys.exit(130)
    finally:
        ignore_signals()  # what is left to do is to end


if __name__ == "__main__":
    main()
