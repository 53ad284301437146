"""How the Python that runs the service was built. One without optimisation is slower (docs/decisions/speed.md)."""

import platform
import sys
import sysconfig

# What configure, or the profile it was compiled with, leaves behind in an optimised Python.
_SIGNS = ("--enable-optimizations", "-fprofile-use", "-fprofile-instr-use")


def is_optimised() -> bool | None:
    """Whether this Python was built with optimisation by a profile, and not for debugging; None: it is not known."""
    if sysconfig.get_config_var("Py_DEBUG"):
        return False
    names = ("CONFIG_ARGS", "PY_CORE_CFLAGS", "CFLAGS")
    configured, *flags = (str(sysconfig.get_config_var(name) or "") for name in names)
    if any(sign in " ".join([configured, *flags]) for sign in _SIGNS):
        return True
    # Debian optimises in its own way and leaves no sign of it.
    is_of_distribution = sys.base_prefix == "/usr"
    return False if configured and not is_of_distribution else None


def describe() -> str:
    """The version of this Python, and how it was built as far as that is known."""
    how = {
        True: ", built with optimisation",
        False: ", built without optimisation (--enable-optimizations), and slower",
        None: "",
    }
    return f"{platform.python_version()}{how[is_optimised()]}"
