"""Drills: the service loses a process, its database, a disk or a connection while clients write (docs/operate.md)."""
