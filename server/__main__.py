"""`python -m server` and `frontdesk`: the command line."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the rest is imported shows no traceback

from server.commands.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
