"""The pipelines of docs/ci.md, end to end: repositories made on the fly, commits that pass and that fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

import junitparser
import numpy as np
import pytest
import yaml
from nightly import turn

from tinydeploy.model.readers import tflite_model

ROOT = Path(__file__).resolve().parents[2]
MOTION = ROOT / "models" / "motion"
LIST = """
[budget]
max_flash = "32K"
max_arena = "2K"
min_accuracy = "90%"
min_identical = 1

[[deploy]]
model = "models/motion.tflite"
data = "models/test.npz"
samples = 16
"""


def steps(file: Path = ROOT / "action.yml") -> dict[str, dict[str, Any]]:
    """The steps of the action that are shell, by name."""
    return {step["name"]: step for step in yaml.safe_load(file.read_text())["runs"]["steps"] if "run" in step}


class Repository:
    """A repository with one deployment, and the programs that its pipeline calls."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base = folder / "repo", ""
        (self.folder / "models").mkdir(parents=True)
        for name in ("motion.tflite", "test.npz"):
            shutil.copy(MOTION / name, self.folder / "models")
        (self.folder / "tinydeploy.toml").write_text(LIST)
        (self.folder / ".gitignore").write_text("tinydeploy*\n!tinydeploy.toml\n.tinydeploy-base\n")
        programs = folder / "bin"
        programs.mkdir()
        (programs / "tinydeploy").write_text(f'#!/bin/sh\nexec {sys.executable} -m tinydeploy "$@"\n')
        (programs / "tinydeploy").chmod(0o755)
        self.environment = {
            name: text for name, text in os.environ.items() if not name.startswith("GITHUB_")
        } | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        }
        self.git("init", "-q")
        self.base = self.commit("good")

    def git(self, *words: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", ".")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def step(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A step of the action as GitHub runs it: bash that stops at the first failure."""
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps()[name]["run"]],
            cwd=self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The base is measured once for all."""
    made = Repository(tmp_path_factory.mktemp("pipeline"))
    done = made.step("Base", BASE=made.base)
    assert done.returncode == 0, done.stderr
    assert list((made.folder / ".tinydeploy-base" / "tinydeploy-out").glob("*/result.json")), done.stderr
    return made


def less_accurate(model: Path) -> None:
    """The same network with its last weights in another order: it names other classes."""
    graph = tflite_model.load(model)
    dense = next(op for op in graph.ops if op.kind == "FULLY_CONNECTED")
    weights = graph.tensors[dense.inputs[1]].data
    assert weights is not None
    content, old = model.read_bytes(), np.ascontiguousarray(weights).tobytes()
    assert content.count(old) == 1
    model.write_bytes(content.replace(old, np.ascontiguousarray(weights[::-1]).tobytes()))


def test_a_good_commit_passes(repository: Repository) -> None:
    done = repository.step("Check", ALLOW="instructions=2%")
    assert done.returncode == 0, done.stderr
    assert "::notice title=tinydeploy::1 of 1 case within all limits" in done.stderr
    xml = junitparser.JUnitXml.fromfile(str(repository.folder / "tinydeploy.xml"))
    assert (xml.failures, xml.errors) == (0, 0)
    compared = repository.step("Compare")
    assert compared.returncode == 0, compared.stderr
    assert "No op changed" in (repository.folder / "tinydeploy-comment.md").read_text()


BAD = {
    "slower": (
        lambda text: text + 'optimize = "size"\nout = "tinydeploy-out/motion-mps2-an386-16_samples"\n',
        r"max_instructions: .* by .*, over by",
    ),
    "does not fit": (
        lambda text: text.replace('max_arena = "2K"', "max_arena = 1000"),
        r"max_arena: 1,088 bytes, limit 1,000, over by 88",
    ),
    "less accurate": (None, r"min_accuracy: .* limit 90 %, short by"),
}


@pytest.mark.parametrize("bad", turn([*BAD], "slower"))
def test_a_bad_commit_fails_with_its_line(repository: Repository, bad: str) -> None:
    change, told = BAD[bad]
    file, model = repository.folder / "tinydeploy.toml", repository.folder / "models" / "motion.tflite"
    if change is None:
        less_accurate(model)
    else:
        file.write_text(change(LIST))
    repository.commit("bad")
    try:
        done = repository.step("Check", ALLOW="instructions=2%")
    finally:
        file.write_text(LIST)
        shutil.copy(MOTION / "motion.tflite", model)
        repository.commit("as before")
    assert done.returncode == 1, done.stderr
    assert re.search(rf"^tinydeploy: a check failed: {told}", done.stderr, re.M), done.stderr
    assert re.search(r"^::error file=\S+motion\.tflite,title=", done.stderr, re.M)
    xml = (repository.folder / "tinydeploy.xml").read_text()
    summary = Path(repository.environment["GITHUB_STEP_SUMMARY"]).read_text()
    assert re.search(told, xml.replace("&lt;", "<")) and re.search(told, summary.replace("\\[", "["))


def test_parity_that_breaks_fails(repository: Repository) -> None:
    (file,) = (repository.folder / ".tinydeploy-base" / "tinydeploy-out").glob("*/result.json")
    broken = json.loads(file.read_text())
    broken["parity"] |= {"identical": broken["parity"]["outputs"] - 2, "worse": 2}
    folder = repository.folder / "tinydeploy-broken"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(broken))
    done = subprocess.run(
        ["tinydeploy", "check", str(folder), "--junit", "tinydeploy.xml"],
        cwd=repository.folder,
        env=repository.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert (
        "2 of 64 outputs differ from" in done.stderr and "min_identical: 96.88 %, limit 100 %" in done.stderr
    )
    assert "2 of 64 outputs differ from" in (repository.folder / "tinydeploy.xml").read_text()


def test_the_hook_refuses_by_plan_alone(repository: Repository) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    command = hook["entry"].split()
    kept = {"cwd": repository.folder, "env": repository.environment, "capture_output": True, "text": True}
    assert subprocess.run(command, **kept).returncode == 0
    file = repository.folder / "tinydeploy.toml"
    file.write_text(LIST.replace('max_arena = "2K"', "max_arena = 1000"))
    done = subprocess.run(command, **kept)
    file.write_text(LIST)
    assert done.returncode == 1 and "max_arena: 1,088 bytes, limit 1,000" in done.stderr
    assert re.search(hook["files"], "models/motion.tflite") and not re.search(hook["files"], "main.c")


class GitHub(BaseHTTPRequestHandler):
    """What of GitHub's interface a comment needs: a pull request with its comments, a hundred a page."""

    comments: ClassVar[list[dict[str, Any]]] = []
    may_write = True

    def answer(self, code: int, content: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self) -> None:
        asked = urlparse(self.path)
        page = int(parse_qs(asked.query)["page"][0])
        assert asked.path == "/repos/me/models/issues/7/comments"
        self.answer(200, self.comments[100 * (page - 1) : 100 * page])

    def do_POST(self) -> None:
        if not self.may_write:
            return self.answer(403, {"message": "Resource not accessible by integration"})
        made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.comments.append({"id": len(self.comments), **made})
        self.answer(201, {})

    def do_PATCH(self) -> None:
        assert self.headers["Authorization"] == "Bearer secret"
        number = int(self.path.rpartition("/")[2])
        self.comments[number] |= json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, {})

    def log_message(self, *_words: object) -> None:
        pass


def test_there_is_one_comment_which_is_changed(repository: Repository) -> None:
    GitHub.comments = [{"id": number, "body": f"somebody else's {number}"} for number in range(150)]
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    given = {
        "GITHUB_API_URL": f"http://127.0.0.1:{server.server_port}",
        "GITHUB_REPOSITORY": "me/models",
        "GITHUB_ACTION_PATH": str(ROOT),
        "NUMBER": "7",
        "TOKEN": "secret",
        "FOLDER": ".",
    }
    told = repository.folder / "tinydeploy-comment.md"
    try:
        for text in ("", "first", "second"):
            told.write_text(text)
            done = repository.step("Comment", **given)
            assert done.returncode == 0, done.stderr
        assert len(GitHub.comments) == 151
        assert GitHub.comments[150]["body"] == "<!-- tinydeploy . -->\nsecond"
        repository.step("Comment", **given | {"FOLDER": "other"})
        assert len(GitHub.comments) == 152
        GitHub.may_write = False
        done = repository.step("Comment", **given | {"FOLDER": "a fork's"})
        assert done.returncode == 0 and "::notice title=tinydeploy::no comment" in done.stdout
        assert len(GitHub.comments) == 152
    finally:
        GitHub.may_write = True
        server.shutdown()
        server.server_close()


def test_the_action_and_the_template_are_what_they_have_to_be() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert {"name", "description", "runs"} <= set(action) and action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert ("uses" in step) != ("run" in step and step["shell"] == "bash")
        # What somebody else writes reaches a shell as a variable, never as text of the script.
        assert "${{" not in step.get("run", "")
    named = set(re.findall(r"inputs\.(\w+)", (ROOT / "action.yml").read_text()))
    assert named == set(action["inputs"])
    job = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())[".tinydeploy"]
    assert set(job["artifacts"]["reports"]) == {"junit", "codequality", "metrics"}
    for text in [job["script"][0], *(step["run"] for step in steps().values())]:
        done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
