from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result

from colo.api.service import Checkpoints, Progress
from colo.cli.status import checkpoints
from colo.errors import ColoError, PeerUnreachableError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

Colo = Callable[..., Result]


def test_status_for_people(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    result = colo("status", config)
    assert result.exit_code == 0
    lines = dict(line.split("  ", 1) for line in result.output.splitlines())
    shown = {key.strip(): value.strip() for key, value in lines.items()}
    assert shown["state"] == "protected, lockstep"
    assert shown["checkpoints"] == "3 (1 mismatch, 2 period)"
    assert shown["median pause"] == "8.2 ms"
    assert shown["why"] == "all is well"
    assert "QEMU" not in shown, "what is not known is left out"


def test_status_for_programs(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    status = json.loads(colo("status", config, "--format", "json").stdout)
    assert (status["state"], status["epoch"], status["checkpoints"]["by_reason"]["mismatch"]) == (
        "protected",
        4,
        1,
    )


def test_status_in_detail_adds_phases_divergences_and_traffic(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    brief, verbose = (colo("status", config, *more).output.splitlines() for more in ((), ("--verbose",)))
    assert verbose[: len(brief)] == brief
    assert [line.split(maxsplit=1)[-1] for line in verbose[len(brief) :]] == [
        "phases   stop 0.5 ms",
        "phases    save 2.1 (2.8) ms",
        "1 stream, 2 missing",
        "5 frames_in",
    ]


@pytest.mark.parametrize(
    ("taken", "received", "shown"), [(0, 0, "0"), (3, 0, "3 (3 period)"), (0, 7, "7 received")]
)
def test_status_tells_what_was_taken_here_from_what_a_primary_sent(
    taken: int, received: int, shown: str
) -> None:
    reasons = {"period": taken} if taken else {}
    assert checkpoints(Checkpoints(taken, reasons, received=received)) == shown


def test_why_for_people(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    lines = colo("why", config).output.splitlines()
    assert [line.split("  ")[0] for line in lines[:5]] == [
        "mode",
        "because",
        "what would change it",
        "changes so far",
        "next checkpoint",
    ]
    assert lines[0].endswith("lockstep, for 62 s")
    assert lines[6].split("  ")[0] == "measured"
    assert lines[7].split() == [*["time", "in", "forced", "checkpoints"], "12.5", "%", "50", "%", "25", "%"]
    assert len(lines) == 9


def test_why_for_programs(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    told = json.loads(colo("why", config, "--format", "json").stdout)
    assert (told["mode"], told["earliest_ms"], told["measured"][1]["limit"]) == ("lockstep", None, 500)


def test_divergences_for_people(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    lines = colo("divergences", config).output.splitlines()
    assert lines[0] == "divergences: 1 stream, 2 missing"
    assert lines[1].split() == ["#", "at", "epoch", "nic", "flow", "kind", "held", "difference"]
    assert lines[2].split(maxsplit=9)[:3] == ["1", "1.500", "4"]
    assert lines[2].endswith("stream   7.2 ms    offset 9: primary 31, secondary 32")
    assert len(lines) == 5
    for count, numbers in ((1, ["3"]), (2, ["2", "3"]), (0, []), (256, ["1", "2", "3"])):
        shown = colo("divergences", config, "--last", count).output.splitlines()[2:]
        assert [line.split()[0] for line in shown] == numbers


def test_divergences_for_programs(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    found = json.loads(colo("divergences", config, "--format", "json", "--last", 2).stdout)
    assert found["by_kind"] == {"stream": 1, "end": 0, "missing": 2}
    assert [(one["number"], one["offset"], one["primary"]) for one in found["last"]] == [
        (2, None, ""),
        (3, 10, "33"),
    ]


def test_protect_ends_when_protected(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    result = colo("protect", config)
    assert (result.exit_code, result.stdout) == (0, "protected: checkpoint 1 is committed\n")


@pytest.mark.parametrize("why", ["the witness knows beta", "protected: the witness knows beta"])
def test_what_is_done_is_said_once(why: str) -> None:
    assert Progress("protected", why).sentence == "protected: the witness knows beta"


def test_protect_for_programs_is_one_step_per_line(colo: Colo, config: Path, agent: Any) -> None:
    assert agent
    lines = colo("protect", config, "--format", "json").stdout.splitlines()
    assert [json.loads(line)["phase"] for line in lines] == ["pre-copy", "protected"]


def test_protect_that_breaks_off_is_an_error(colo: Colo, config: Path, agent: Any) -> None:
    agent.steps = agent.steps[:1]
    for form in ("table", "json"):
        result = colo("protect", config, "--format", form)
        assert result.exit_code == 4
        assert "not protected" in result.stderr


def test_protect_that_fails_in_the_middle_has_the_agents_error(colo: Colo, config: Path, agent: Any) -> None:
    agent.steps = agent.steps[:1]
    agent.fails = PeerUnreachableError("beta is gone", "look there")
    result = colo("protect", config)
    assert result.exit_code == 6
    assert result.stderr.splitlines()[-2:] == ["error: beta is gone", "hint: look there"]


def test_checkpoint_failover_stop_events(colo: Colo, config: Path, agent: Any) -> None:
    assert "4 (operator)" in colo("checkpoint", config).output
    assert json.loads(colo("checkpoint", config, "--format", "json").stdout)["pause_ms"] == 8.5
    assert colo("failover", config).output == "beta runs the VM\n"
    assert json.loads(colo("failover", config, "--format", "json").stdout) == {"done": "beta runs the VM"}
    assert colo("events", config).output == "1.500  divergence  answers differ  offset=7\n"
    assert json.loads(colo("events", config, "--format", "json").stdout)["kind"] == "divergence"
    assert colo("stop", config).output == "the agent is ending\n"
    assert agent.stopped


@pytest.mark.parametrize(
    "error",
    [RefusedError("not now", "later"), PeerUnreachableError("no peer"), ColoError("other", "hm")],
    ids=lambda e: type(e).__name__,
)
def test_errors_have_their_exit_code_and_both_forms(
    colo: Colo, config: Path, agent: Any, error: ColoError
) -> None:
    agent.fails = error
    plain = colo("failover", config)
    hint = [f"hint: {error.hint}"] if error.hint else []
    assert plain.stderr.splitlines() == [f"error: {error.message}", *hint]
    assert (plain.exit_code, plain.stdout) == (error.exit_code, "")
    for_programs = colo("failover", config, "--format", "json")
    assert for_programs.exit_code == error.exit_code
    body = {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
    assert json.loads(for_programs.stderr) == body


@pytest.mark.parametrize(
    "command", ["status", "protect", "checkpoint", "failover", "stop", "events", "divergences"]
)
def test_without_an_agent_every_command_says_so(colo: Colo, config: Path, command: str) -> None:
    result = colo(command, config)
    assert result.exit_code == 4
    assert "no agent answers" in result.stderr
    assert "colo agent" in result.stderr


def test_a_wrong_configuration_has_its_exit_code(colo: Colo, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[agent]\n")
    result = colo("status", tmp_path / "bad.toml")
    assert (result.exit_code, result.stderr.startswith("error:")) == (3, True)
