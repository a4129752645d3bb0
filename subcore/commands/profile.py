"""`subcore profile`: which instructions the cycles went to."""

from __future__ import annotations

from pathlib import Path

import click

from isa.errors import SubcoreError
from subcore import options


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-n", "--lines", type=click.IntRange(1), default=20, show_default=True, help="Rows to show.")
@click.option("--by-line", is_flag=True, help="Rows are lines of the CUDA source instead of instructions.")
@click.option("--source", type=click.Path(path_type=Path), metavar="FILE.cu", help="The source, if the run has none.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write the whole listing as a page."
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the table as CSV.")
@options.force
@options.as_json
def command(
    directory: Path,
    lines: int,
    by_line: bool,
    source: Path | None,
    page: Path | None,
    csv_file: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show the instructions of a run (`subcore simulate -o DIR`) that cost most sub-core cycles, and its bounds.

    A cycle in which nothing issues is charged to the instruction whose warp is nearest to issue. Lanes, sectors and
    bank conflicts (passes beyond the conflict-free minimum) are per execution.
    """
    from isa.files import replace_file
    from subcore.bounds import read_rows
    from subcore.bounds import text_table as bound_table
    from subcore.instructions import FILE, SOURCE, from_csv, html_page, line_rows, text_table, to_csv
    from subcore.stored_run import read_run

    for target in (page, csv_file):
        if target is not None and target.exists() and not force:
            raise SubcoreError(f"{target}: exists already; choose another name or pass --force")
    run = read_run(directory)
    rows = from_csv(_read(directory / FILE))
    text = _read(source) if source else _read(directory / SOURCE) if (directory / SOURCE).is_file() else None
    last = max(row["line"] for row in rows)
    if by_line and not last:
        raise SubcoreError(f"{directory}: the code names no source lines; compile it with -lineinfo")
    if text is not None and source and len(text.splitlines()) < last:
        raise SubcoreError(f"{source}: has {len(text.splitlines())} lines, the code names line {last}: another source?")
    table = line_rows(rows) if by_line else rows
    if page is not None:
        title = f"{run.kernel} on {run.knobs['gpu.name']}: {run.manifest['cycles']:,} cycles"
        with replace_file(page, force) as file:
            file.write(html_page(rows, title, text).encode())
    if csv_file is not None:
        hottest = sorted(table, key=lambda row: (-row["cycles"], row.get("pc", ""), row["line"]))
        with replace_file(csv_file, force) as file:
            file.write(to_csv(hottest).encode())
    if as_json:
        options.echo_json(table)
        return
    click.echo(text_table(rows, lines, text, by_line))
    click.echo("\n" + bound_table(read_rows(directory), run.manifest["cycles"]))
    for target in (page, csv_file):
        if target is not None:
            click.echo(f"\n{target}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SubcoreError(f"{path}: cannot be read ({error}); simulate again with -o") from None
