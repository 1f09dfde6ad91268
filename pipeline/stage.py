"""How every stage is run from the command line: options from the function's signature, one line for a user's mistake."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from datasets.errors import UserError
from pipeline.log import log


def run(main: Callable[..., Any]) -> None:
    """Run `main` as a command: its parameters become options, a `UserError` one line on stderr and exit status 1.

    A full disk is reported the same way; any other exception is a defect and keeps its traceback.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # numpy's pools; torch's threads are `compute.threads`
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    hints = get_type_hints(main)
    main.__annotations__ = {name: Annotated[hint, typer.Option()] for name, hint in hints.items() if name != "return"}
    app.command(help=verbatim(sys.modules[main.__module__].__doc__ or ""))(main)
    run_app(app)


def verbatim(text: str) -> str:
    """A module's docstring as help that click does not wrap again."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in text.strip().split("\n\n"))  # click's mark for "as it is"


def run_app(app: typer.Typer) -> None:
    """Run a Typer application, a `UserError` being one line on stderr and exit status 1."""
    try:
        app(standalone_mode=False)
    except UserError as error:
        log(f"error: {error}")
        sys.exit(1)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if _disk_is_full(error):
            file = getattr(error, "filename", None) or "a file"
            log(f"error: no space left on the disk while writing {file}; free some and run the same command again")
            sys.exit(1)
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            raise
        show()
        sys.exit(2)


def _disk_is_full(error: Exception) -> bool:
    """Also as libraries say it that wrap the system's error (polars)."""
    return getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)
