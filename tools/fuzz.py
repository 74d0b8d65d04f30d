"""Builds the fuzz targets and runs each for some seconds: `python3 tools/fuzz.py 60 [target ...]`.

Needs a C++ compiler and nothing else: coverage counters (LLVM's sancov pass) are a matter of stable flags,
libFuzzer comes with the crate libfuzzer-sys. What was found before stays in .cache/fuzz and is tried first.
An input that fails is kept beside it; the exit code is then 1.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
CACHE = Path(os.environ.get("COLO_CACHE") or ROOT / ".cache").resolve() / "fuzz"
COVERAGE = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
)
LONGEST = 4096
"""Bytes of an input."""
LIMITS = ("-rss_limit_mb=512", "-timeout=10", f"-max_len={LONGEST}")


def main() -> None:
    """All targets, or those that are named; as many at once as there are cores."""
    seconds, *wanted = sys.argv[1:] or ["60"]
    targets = wanted or sorted(path.stem for path in (FUZZ / "targets").glob("*.rs"))
    programs = build()
    with ThreadPoolExecutor(os.cpu_count()) as at_once:
        passed = list(at_once.map(lambda target: run(programs / target, seconds), targets))
    found = [target for target, good in zip(targets, passed, strict=True) if not good]
    if found:
        sys.exit(f"error: {', '.join(found)}: see the inputs in {CACHE}")


def build() -> Path:
    """Compiles them and returns their folder.

    Where cargo is told what it compiles for, build scripts and macros get no counters: they could not link.
    """
    host = re.search(r"host: (\S+)", output(["rustc", "-vV"]))
    if host is None:
        sys.exit("error: rustc does not say what it compiles for")
    folder = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "fuzz"
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--target", host[1]]
    environment = {**os.environ, "RUSTFLAGS": " ".join(COVERAGE), "CARGO_TARGET_DIR": str(folder)}
    if subprocess.run(command, cwd=FUZZ, env=environment, check=False).returncode != 0:
        sys.exit("error: the fuzz targets do not build (a C++ compiler is needed: apt-get install g++)")
    return folder / host[1] / "release"


def run(program: Path, seconds: str) -> bool:
    """Runs one; false when an input failed, which is then told."""
    corpus, finds = CACHE / "corpus" / program.name, CACHE / f"{program.name}-"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [str(program), str(corpus), f"-max_total_time={seconds}", f"-artifact_prefix={finds}", *LIMITS]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    last = re.findall(r"^#(\d+)\s+DONE\s+cov: (\d+)", done.stderr, re.MULTILINE)
    if done.returncode != 0 or not last:
        print("\n".join(done.stderr.splitlines()[-40:]))
        return False
    print(f"{program.name}: {int(last[-1][0]):,} inputs, {last[-1][1]} edges, nothing found", flush=True)
    return True


def output(command: list[str]) -> str:
    """What a program prints."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
