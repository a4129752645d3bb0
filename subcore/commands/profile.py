"""`subcore profile`: which instructions the cycles went to."""

from __future__ import annotations

from pathlib import Path

import click

from isa.errors import SubcoreError
from subcore import options


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-n", "--lines", type=click.IntRange(1), default=20, show_default=True, help="Instructions to show.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write the whole listing as a page."
)
@options.force
@options.as_json
def command(directory: Path, lines: int, page: Path | None, force: bool, as_json: bool) -> None:
    """Show the instructions of a run (`subcore simulate -o DIR`) that cost most sub-core cycles.

    A cycle in which nothing issues is charged to the instruction whose warp is nearest to issue.
    """
    from isa.files import replace_file
    from subcore.comparison import read_run
    from subcore.instructions import FILE, from_csv, html_page, text_table

    run = read_run(directory)
    try:
        rows = from_csv((directory / FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SubcoreError(f"{directory}: has no readable {FILE} ({error})") from None
    if page is not None:
        title = f"{run.kernel} on {run.knobs['gpu.name']}: {run.manifest['cycles']:,} cycles"
        with replace_file(page, force) as file:
            file.write(html_page(rows, title).encode())
    if as_json:
        options.echo_json(rows)
    else:
        click.echo(text_table(rows, lines))
    if page is not None and not as_json:
        click.echo(f"\n{page}")
