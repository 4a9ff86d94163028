"""The program `zeus`: its commands, and what an error prints.

Each command imports what it needs when it runs. PyTorch takes seconds, which `zeus --help` must
not.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from zeus_app.commands.bench import bench_app
from zeus_app.commands.cache import cache_app
from zeus_app.commands.data import data_app
from zeus_app.commands.demo.command import demo
from zeus_app.commands.describe import describe
from zeus_app.commands.doctor.command import doctor
from zeus_app.commands.evaluate import evaluate
from zeus_app.commands.export import export
from zeus_app.commands.hospital.command import hospital
from zeus_app.commands.import_labels import import_labels
from zeus_app.commands.llm4seg.command import llm4seg_app
from zeus_app.commands.real.command import real
from zeus_app.commands.runtime import runtime
from zeus_app.commands.segment import segment
from zeus_app.commands.serve import serve
from zeus_app.commands.studies import studies
from zeus_app.commands.train import train
from zeus_app.commands.weights import weights_app
from zeus_app.errors import CancelledError, InputError

INPUT_ERROR_EXIT_CODE = 2
CANCELLED_EXIT_CODE = 130  # as shells report a program that SIGINT ended


class _Commands(TyperGroup):
    """Prints bad input as a message without a traceback; tracebacks are for faults of Zeus."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.secho(f"zeus: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(INPUT_ERROR_EXIT_CODE) from error
        except (CancelledError, KeyboardInterrupt) as error:
            typer.secho("zeus: stopped", err=True)
            raise typer.Exit(CANCELLED_EXIT_CODE) from error


app = typer.Typer(
    cls=_Commands,
    help="Segment multi-sequence MRI by text instructions. Machine-made, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve)
app.command("studies")(studies)
app.command("segment")(segment)
app.command("train")(train)
app.command("import-labels")(import_labels)
app.command("evaluate")(evaluate)
app.command("export")(export)
app.add_typer(data_app, name="data", no_args_is_help=True)
app.command("describe")(describe)
app.add_typer(weights_app, name="weights", no_args_is_help=True)
app.add_typer(cache_app, name="cache", no_args_is_help=True)
app.add_typer(bench_app, name="bench", no_args_is_help=True)
app.command("runtime")(runtime)
app.command("doctor")(doctor)
app.command("demo")(demo)
app.command("hospital")(hospital)
app.command("real")(real)
app.add_typer(llm4seg_app, name="llm4seg", no_args_is_help=True)

if __name__ == "__main__":
    app()
