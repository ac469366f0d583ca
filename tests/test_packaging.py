"""What we hand out: the wheel and the sdist carry the built front end, and the tree carries nothing of one machine.

In: the checkout with its front end built. Out: both archives opened, the wheel installed beside this environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest
from jupyterlab_server.config import get_federated_extensions

from memviz_widgets._version import __version__

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "memviz_widgets/labextension/package.json"
STEM = f"memviz_widgets-{__version__}"
DATA = f"{STEM}.data/data"
LAB = f"{DATA}/share/jupyter/labextensions/memviz-widgets"
CLASSIC = f"{DATA}/share/jupyter/nbextensions/memviz-widgets"

# Our package from the wheel, all others from this environment.
SAVE_A_PAGE = """import sys; sys.path += {sites}
import memviz_widgets, torch
assert memviz_widgets.__file__.startswith(sys.prefix), memviz_widgets.__file__
explorer = memviz_widgets.ActivationExplorer(torch.nn.Linear(2, 2), torch.ones(1, 2))
print(explorer.save_html("page.html").stat().st_size)"""


def run(*words: str | Path, cwd: Path = ROOT, path: str | None = None) -> str:
    """Run a command; returns what it printed. ``path`` replaces PATH."""
    env = {**os.environ, **({} if path is None else {"PATH": path})}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build "wheel" or "sdist" with an empty PATH, so that a build which calls Node fails."""
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder, cwd=source, path="")
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert BUILT.is_file(), "the front end is not built; run make build"
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def wheel(wheel_path: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheel_path) as archive:
        yield archive


@pytest.fixture(scope="module")
def unpacked(sdist_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist_path) as archive:
        archive.extractall(folder, filter="data")
    return folder / STEM


def test_wheel_carries_the_version(wheel: zipfile.ZipFile) -> None:
    metadata = message_from_string(wheel.read(f"{STEM}.dist-info/METADATA").decode())
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert "torch>=2.2" in metadata.get_all("Requires-Dist", [])


def test_wheel_carries_the_lab_extension_and_the_bundle_it_names(wheel: zipfile.ZipFile) -> None:
    package = json.loads(wheel.read(f"{LAB}/package.json"))
    assert package["name"] == "memviz-widgets"
    remote_entry = package["jupyterlab"]["_build"]["load"]
    assert len(wheel.read(f"{LAB}/{remote_entry}")) > 1000
    assert json.loads(wheel.read(f"{LAB}/install.json"))["packageName"] == "memviz_widgets"


def test_wheel_carries_the_amd_build(wheel: zipfile.ZipFile) -> None:
    assert b"define(" in wheel.read(f"{CLASSIC}/index.js")
    assert b"'memviz-widgets': 'nbextensions/memviz-widgets/index'" in wheel.read(f"{CLASSIC}/extension.js")
    switch = json.loads(wheel.read(f"{DATA}/etc/jupyter/nbconfig/notebook.d/memviz-widgets.json"))
    assert switch == {"load_extensions": {"memviz-widgets/extension": True}}


def test_wheel_carries_the_package_data(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {"memviz_widgets/py.typed", "memviz_widgets/frames/colormaps.json"} <= names
    assert len(json.loads(wheel.read("memviz_widgets/frames/colormaps.json"))["viridis"]) == 256


def test_wheel_carries_the_bundle_of_pages(wheel: zipfile.ZipFile) -> None:
    assert b"memvizFrozen" in wheel.read("memviz_widgets/static/frozen.js")
    assert b"--jp-layout-color0" in wheel.read("memviz_widgets/static/frozen.css")
    assert b"deflate-raw" in wheel.read("memviz_widgets/static/loader.js")


def test_wheel_carries_every_module_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "memviz_widgets").rglob("*.py")}
    inside = {name for name in wheel.namelist() if name.startswith("memviz_widgets/")}
    assert {name for name in inside if name.endswith(".py")} == modules
    assert {name.split("/")[0] for name in wheel.namelist()} == {"memviz_widgets", f"{STEM}.data", f"{STEM}.dist-info"}
    assert not any("labextension" in name or "__pycache__" in name for name in inside)


def test_sdist_has_sources_and_bundles_and_no_environment(unpacked: Path) -> None:
    built = ("memviz_widgets/nbextension/index.js", "memviz_widgets/static/frozen.js")
    for name in ("js/package-lock.json", "js/src/version.ts", "js/frozen.css", *built, "LICENSE"):
        assert (unpacked / name).is_file(), name
    assert (unpacked / BUILT.relative_to(ROOT)).is_file()
    folders = {part for path in unpacked.rglob("*") for part in path.relative_to(unpacked).parts}
    assert folders.isdisjoint({"node_modules", ".venv", "lib", "__pycache__", ".git", ".mypy_cache"})


def test_sdist_builds_the_same_wheel_without_node(
    unpacked: Path, wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path_factory.mktemp("rebuilt"))) as rebuilt:
        assert sorted(rebuilt.namelist()) == sorted(wheel.namelist())


def test_installed_wheel_is_found_by_jupyterlab(wheel_path: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path)
    python = tmp_path / "bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    run(*pip, wheel_path)
    found = get_federated_extensions([str(tmp_path / "share/jupyter/labextensions")])
    assert found["memviz-widgets"]["version"] == __version__
    assert (tmp_path / "share/jupyter/nbextensions/memviz-widgets/extension.js").is_file()
    assert (tmp_path / "etc/jupyter/nbconfig/notebook.d/memviz-widgets.json").is_file()
    page = subprocess.run(
        [python, "-c", SAVE_A_PAGE.format(sites=[site for site in sys.path if site.endswith("-packages")])],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert page.returncode == 0, page.stderr
    assert int(page.stdout) > 100_000  # with the scripts from where the wheel put them
    ask = "from importlib.metadata import version; print(version('memviz_widgets'))"
    assert run(python, "-c", ask).strip() == __version__


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Name and text of every file that is in git or would be added to it."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a picture


# Put together here, so that this file does not find itself.
OF_ONE_MACHINE = ["(?<![.\\w])/" + place + "/" for place in ("work", "tmp/w", "root", "home/[a-z]+", "opt/wheels")]
PACKAGE_HOSTS = [f"{host}\\." + rest for host, rest in (("registry", "(npm|yarn)"), ("files", "pythonhosted"))]


def test_the_tree_names_no_machine_and_no_package_host() -> None:
    pattern = re.compile("|".join(OF_ONE_MACHINE + PACKAGE_HOSTS))
    found = [f"{name}: {match[0]}" for name, text in tracked_texts() for match in pattern.finditer(text)]
    assert found == []


def test_the_lock_file_records_no_addresses() -> None:
    packages = json.loads((ROOT / "js/package-lock.json").read_text())["packages"]
    assert [name for name, entry in packages.items() if "resolved" in entry and not entry.get("link")] == []


def test_the_lock_file_is_that_of_package_json() -> None:
    locked = json.loads((ROOT / "js/package-lock.json").read_text())["packages"][""]
    declared = json.loads((ROOT / "js/package.json").read_text())
    for kind in ("dependencies", "devDependencies"):
        assert locked.get(kind) == declared.get(kind)


@pytest.mark.parametrize("text", ["cd /work" + "/main", "https://registry" + ".npmjs.org/x", "see /tmp" + "/w/out"])
def test_such_a_text_is_found(text: str) -> None:
    assert re.search("|".join(OF_ONE_MACHINE + PACKAGE_HOSTS), text)
