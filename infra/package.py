"""Build what CloudFormation deploys: ``python -m infra.package build``.

Chalice makes template and zip; ``resources.json`` is merged into the template.  All happens on a
copy, so that the checkout stays as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from chalicelib import vendors

ROOT = Path(__file__).parent.parent
RESOURCES = ROOT / "infra" / "resources.json"
SHIPPED = ("app.py", "chalicelib", ".chalice", "requirements.txt")
ZIP, TEMPLATE = "deployment.zip", "sam.json"
_TASK = "/var/task"
"""Where Lambda unpacks the zip."""
_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The date of every file in the zip: equal code gives equal zips."""
_SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "deployments", "deployed")


class PackagingError(Exception):
    """Chalice refused; what it said is the message."""


def package(
    output: Path,
    stage: str = "prod",
    *,
    dependencies: bool = True,
    resources: Path = RESOURCES,
) -> None:
    """Write ``sam.json`` and ``deployment.zip``.  Without dependencies it needs no network.

    Raises :class:`PackagingError`.
    """
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for each in SHIPPED:
            source = ROOT / each
            if source.is_dir():
                shutil.copytree(source, copy / each, ignore=_SKIPPED)
            else:
                shutil.copy2(source, copy / each)
        shutil.rmtree(copy / "chalicelib" / "vendors" / vendors.EXAMPLE)  # only there to be copied
        if not dependencies:
            (copy / "requirements.txt").write_text("", "utf-8")
        output.mkdir(parents=True, exist_ok=True)
        _chalice(copy, ["package", "--stage", stage, "--merge-template", str(resources)], output)


def precompile(archive: Path) -> None:
    """Put byte-code beside the sources: Lambda cannot keep what it compiles at a cold start.

    Unchecked, because the zip never changes in place; for this Python's version only, which is
    the version that the template names.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        # A process of its own: byte-code differs in what this one has already interned.
        compile_all = [sys.executable, "-m", "compileall", "-q", "-s", name, "-p", _TASK]
        compile_all += ["--invalidation-mode", "unchecked-hash", name]
        subprocess.run(compile_all, check=True)  # noqa: S603 - our own command, no shell
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _MOMENT)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                packed.writestr(entry, path.read_bytes(), compresslevel=9)


def _chalice(project: Path, arguments: list[str], output: Path) -> None:
    # Chalice asks botocore for names of services, which needs a region, though none is called.
    environment = {"AWS_DEFAULT_REGION": "eu-west-1", **os.environ}
    command = [sys.executable, "-c", "from chalice.cli import main; raise SystemExit(main())"]
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [*command, *arguments, str(output.resolve())],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PackagingError(done.stdout + done.stderr)


def _report(output: Path) -> str:
    archive = output / ZIP
    with zipfile.ZipFile(archive) as packed:
        files = packed.infolist()
    unpacked = sum(each.file_size for each in files)
    resources = json.loads((output / TEMPLATE).read_text("utf-8"))["Resources"]
    return (
        f"{archive}: {archive.stat().st_size / 1e6:.2f} MB, {unpacked / 1e6:.1f} MB unpacked, "
        f"{len(files)} files (Lambda takes 50 and 250 MB)\n"
        f"{output / TEMPLATE}: {len(resources)} resources"
    )


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build what CloudFormation deploys.")
    parser.add_argument("output", type=Path, nargs="?", default=Path("build"))
    parser.add_argument("--stage", default="prod")
    arguments = parser.parse_args()
    try:
        package(arguments.output, arguments.stage)
    except PackagingError as error:
        print(error, file=sys.stderr)
        return 2
    precompile(arguments.output / ZIP)
    print(_report(arguments.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
