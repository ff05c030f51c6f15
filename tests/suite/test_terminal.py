"""What a person sees at the terminal: help, completion, colour, versions."""

import os
import pty
import re
import subprocess
import sys

import pytest

import cnnref
import conformance
from cnnref import __main__ as cnnref_main
from conformance.commands import cli
from conformance.conventions import CONVENTIONS
from conformance.operations import OPERATIONS

WRONG = """
from conformance.adapters.numpy_loops import *

def relu(Z):
    return Z * 2, Z
"""

PROGRAMS = {
    "conformance": [sys.executable, "-m", "conformance"],
    "cnnref": [sys.executable, "-m", "cnnref"],
}
COMMANDS = {
    "conformance": ["run", "repro", "gate", "probe", "matrix", "merge", "search", "list", "explain"],
    "cnnref": ["train", "predict"],
}


def on_terminal(command, **environment):
    """What `command` writes to a terminal, output and errors."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env=env | {"TERM": "xterm"} | environment
    )
    os.close(theirs)
    found = bytearray()
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not chunk:
            break
        found += chunk
    process.wait()
    os.close(ours)
    return found.decode()


def completions(program, line):
    """What the shell would offer after `line`."""
    reading, writing = os.pipe()
    # argcomplete answers on file descriptor 8, as its shell function arranges it.
    script = 'exec 8>&"$1"; shift; exec "$@" 9>/dev/null'
    subprocess.run(
        ["bash", "-c", script, "bash", str(writing), *PROGRAMS[program]],
        env=os.environ
        | {
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "COMP_TYPE": "9",
        },
        pass_fds=[writing],
        check=True,
        timeout=60,
    )
    os.close(writing)
    with os.fdopen(reading) as stream:
        return [word.strip() for word in stream.read().split("\n")]


@pytest.mark.parametrize(
    ("program", "command"), [(p, c) for p, commands in COMMANDS.items() for c in ["", *commands]]
)
def test_every_help_has_examples(program, command, capsys):
    main = cli.main if program == "conformance" else cnnref_main.main
    with pytest.raises(SystemExit) as stop:
        main([*([command] if command else []), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    examples = shown.partition("examples:\n")[2]
    assert f"{program} {command}".strip() in examples
    for other in COMMANDS[program]:
        assert command or other in shown


@pytest.mark.parametrize(
    "line", re.findall(r"^  conformance (.*?)(?:   .*)?$", cli.parser().format_help(), re.MULTILINE)
)
def test_the_examples_parse(line):
    import shlex

    cli.parser().parse_args(shlex.split(line))


def test_versions(capsys):
    for main, name, version in (
        (cli.main, "conformance", conformance.__version__),
        (cnnref_main.main, "cnnref", cnnref.__version__),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["--version"])
        assert stop.value.code == 0
        assert capsys.readouterr().out == f"{name} {version}\n"
    assert cnnref.__version__ == conformance.__version__


def test_completion_of_what_the_suite_knows():
    assert set(completions("conformance", "conformance ")) >= set(COMMANDS["conformance"])
    assert set(completions("conformance", "conformance run --ops ")) >= set(OPERATIONS)
    assert set(completions("conformance", "conformance run --ops relu ")) >= set(OPERATIONS)
    assert "numpy_loops" in completions("conformance", "conformance probe --impl nump")
    name = next(iter(CONVENTIONS))
    found = completions("conformance", f"conformance run --convention {name}")
    assert any(word.replace("\\", "").startswith(f"{name}=") for word in found)


def test_completion_of_training():
    assert set(completions("cnnref", "cnnref ")) >= {"train", "predict"}
    assert set(completions("cnnref", "cnnref train --optimizer ")) >= {"adam", "sgd"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_error_is_red_on_a_terminal_and_plain_elsewhere(program):
    missing = {"conformance": ["run", "--cases", "0"], "cnnref": ["train", "--data", "no-such-folder"]}
    command = [*PROGRAMS[program], *missing[program]]
    shown = on_terminal(command)
    assert "\x1b[31m" in shown
    assert shown.strip().count("\n") == 0
    assert "\x1b" not in on_terminal(command, NO_COLOR="1")
    piped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert piped.returncode == 2
    assert "\x1b" not in piped.stderr
    assert re.sub(r"\x1b\[\d*m", "", shown).strip() == piped.stderr.strip()


def test_a_run_is_coloured_on_a_terminal_alone(tmp_path):
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [
        *PROGRAMS["conformance"],
        *("run", "--impl", str(tmp_path / "wrong.py"), "--ops", "relu", "--dtype", "f32", "--cases", "8"),
        *("--out", str(tmp_path / "out")),
    ]
    assert "\x1b[31mrelu.A" in on_terminal(command).replace("\x1b[1m", "")
    piped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert piped.returncode == 1
    assert "relu.A" in piped.stdout
    assert "\x1b" not in piped.stdout
