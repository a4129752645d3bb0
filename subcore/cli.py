"""The `subcore` command. Command modules import nothing heavy until they run: `subcore --help` stays fast."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from isa.errors import SubcoreError

DEBUG_VARIABLE = "SUBCORE_DEBUG"
EXIT_INTERNAL = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT


class Failure(click.ClickException):
    """One message on standard error, exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"subcore: {self.format_message()}", file=file or sys.stderr)


class InternalFailure(Failure):
    """An exception that nobody meant a user to meet."""

    exit_code = EXIT_INTERNAL


class Commands(click.Group):
    """Root group: imports a command when it is named, and turns what users can mend into one message."""

    modules = ("simulate", "application", "sweep", "compare", "profile", "export", "trace", "config", "validate",
               "report", "plot", "bench")  # fmt: skip

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return None
        from importlib import import_module

        return import_module(f"subcore.commands.{cmd_name}").command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
                raise
            raise _failure(error) from error


def _failure(error: Exception) -> Failure:
    if isinstance(error, SubcoreError):
        return Failure(str(error))
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return Failure(f"{place}{error.strerror or error}")
    if isinstance(error, MemoryError):
        return Failure(f"out of memory. {error}".strip())
    kind = f"{type(error).__name__}: {error}".splitlines()[0]
    hint = f"This is a bug in subcore; {DEBUG_VARIABLE}=1 shows where"
    return InternalFailure(f"internal error: {kind}. {hint}")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(None, "--version", package_name="subcore", message="%(prog)s %(version)s")
def cli() -> None:
    """Cycle-level simulator of NVIDIA GPUs: replays real SASS, counts cycles, says where they went."""


def main() -> None:
    """Entry point of the console script. Exit codes: 0, 1 bad input, 2 usage, 70 bug in subcore, 130 interrupted."""
    try:
        code = cli.main(prog_name="subcore", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        click.echo("subcore: interrupted", err=True)
        code = EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        # The reader went away (`subcore ... | head`): nothing to say, and nothing left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
