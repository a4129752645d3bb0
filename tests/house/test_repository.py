"""What the repository may and must hold."""

import re
import tomllib

MAXIMUM_BYTES = 1 << 20
MACHINE_PATH = re.compile(r"(?<![\w.:/$}~])/(?:work|root|home|Users|tmp)/[\w.]+")
EM_CUDA = 190  # e_machine of a cubin
BINARY = {".cubin", ".sct", ".npz", ".xz", ".gz", ".png", ".npy"}


def test_no_file_is_larger_than_a_mebibyte(root, files):
    large = {str(path): (root / path).stat().st_size for path in files}
    large = {path: size for path, size in large.items() if size > MAXIMUM_BYTES}
    assert not large, f"larger than 1 MiB: {large}"


def test_no_file_names_a_path_of_one_machine(root, files):
    wrong = [
        f"{path}:{number}: {match[0]}"
        for path in files
        if path.suffix not in BINARY
        for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1)
        if (match := MACHINE_PATH.search(line))
    ]
    assert not wrong, "paths of one machine:\n" + "\n".join(wrong)


def test_no_host_binary_is_committed(root, files):
    """Cubins of our own kernels may serve as test data; libraries and programs of others may not."""
    wrong = []
    for path in files:
        head = (root / path).read_bytes()[:20]
        machine = int.from_bytes(head[18:20], "little")
        if path.suffix in {".so", ".whl", ".fatbin"} or (head[:4] == b"\x7fELF" and machine != EM_CUDA):
            wrong.append(str(path))
    assert not wrong, f"binaries: {wrong}"


def test_licence_citation_and_contributing_are_there(root):
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence and "END OF TERMS AND CONDITIONS" in licence
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}\n" in (root / "CITATION.cff").read_text(), "CITATION.cff states another version"
    assert (root / "CONTRIBUTING.md").is_file()


def test_source_files_stay_readable_in_size(root, files):
    long = {
        str(path): lines
        for path in files
        if path.suffix == ".py" and (lines := (root / path).read_text(encoding="utf-8").count("\n")) > 600
    }
    assert not long, f"files over 600 lines, split them: {long}"
