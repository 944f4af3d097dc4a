"""What README and ``docs`` tell a user to type does what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.easyedit.conftest import RunPython, require_easyedit, run_python

__all__ = ["run_python"]

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("version", ["wheel", "git"])
def test_the_pages_lines_work_as_a_new_user_types_them(
    version: str, run_python: RunPython, tmp_path: Path
) -> None:
    require_easyedit(version)
    done = run_python(version, "-m", "tests.docs_worker", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            linked = (ROOT / page).parent / path if path else ROOT / page
            assert linked.exists(), target
            headings = re.findall(r"^#+ (.*)", linked.read_text(), re.MULTILINE) if anchor else []
            found = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings]
            assert not anchor or anchor in found, target
