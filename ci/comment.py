"""Writes one comment on a pull request, and changes that one from then on: python comment.py FILE.

GitHub tells the place in GITHUB_API_URL and GITHUB_REPOSITORY; NUMBER is the pull request, TOKEN may write,
and FOLDER tells apart the comments of several lists of models. It needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MOST = 65_000  # characters that GitHub takes
PAGE = 100


def main(file: Path) -> int:
    """The exit code: 0 also where the token may not write, as on a pull request from a fork."""
    mark = f"<!-- tinydeploy {os.environ.get('FOLDER', '.')} -->"
    body = {"body": f"{mark}\n{file.read_text(encoding='utf-8')}"[:MOST]}
    repository = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    thread = f"{repository}/{os.environ['NUMBER']}/comments"
    try:
        number = _own(thread, mark)
        if number is None:
            _ask(thread, "POST", body)
        else:
            _ask(f"{repository}/comments/{number}", "PATCH", body)
    except urllib.error.HTTPError as error:
        if error.code not in (403, 404):
            raise
        print(f"::notice title=tinydeploy::no comment: the token may not write ({error.code})")
    return 0


def _own(thread: str, mark: str) -> int | None:
    """The number of the comment that begins with the mark; None if there is none yet."""
    page = 1
    while True:
        found = _ask(f"{thread}?per_page={PAGE}&page={page}")
        for comment in found:
            if (comment["body"] or "").startswith(mark):
                return int(comment["id"])
        if len(found) < PAGE:
            return None
        page += 1


def _ask(url: str, method: str = "GET", body: dict[str, str] | None = None) -> Any:
    headers = {
        "Authorization": f"Bearer {os.environ['TOKEN']}",
        "Accept": "application/vnd.github+json",
        "Content-Type": "application/json",
    }
    sent = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(
        urllib.request.Request(url, sent, headers, method=method), timeout=60
    ) as reply:
        return json.load(reply)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
