#!/usr/bin/env python3
"""Holds docs/providers against the causes of core/src/diagnosis: a page names no cause that is not there, every provider's
cause is on a page, and each page has the same parts and is in the index."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ["What to type", "What its errors mean", "Limits", "DNS records", "Sources"]
ROW = re.compile(r"^\| .* \| `([a-z0-9_]+)` \|$", re.M)


def causes(folder: pathlib.Path) -> set[str]:
    named = re.compile(r'Cause::(?:fails|warns)\(\s*"([a-z0-9_]+)"')
    return {name for file in folder.rglob("*.rs") for name in named.findall(file.read_text())}


def main() -> int:
    complaints = []
    known = causes(ROOT / "core/src/diagnosis")
    of_providers = causes(ROOT / "core/src/diagnosis/providers")
    if not of_providers:
        complaints.append("no provider's cause was found: has the table another form?")
    pages = sorted(page for page in (ROOT / "docs/providers").glob("*.md") if page.name != "README.md")
    index = (ROOT / "docs/providers/README.md").read_text()
    told = set()
    for page in pages:
        text = page.read_text()
        rows = ROW.findall(text)
        told.update(rows)
        complaints += [f"{page.name}: there is no cause {name}" for name in rows if name not in known]
        if not rows:
            complaints.append(f"{page.name}: no error is told")
        parts = [part for part in re.findall(r"^## (.+)$", text, re.M) if part in PARTS]
        if parts != PARTS:
            complaints.append(f"{page.name}: its parts should be {', '.join(PARTS)}")
        if f"]({page.name})" not in index:
            complaints.append(f"README.md: {page.name} is missing")
    for link in re.findall(r"\]\(([a-z0-9-]+\.md)\)", index):
        if not (ROOT / "docs/providers" / link).is_file():
            complaints.append(f"README.md: there is no {link}")
    complaints += [f"{name}: on no page of docs/providers" for name in sorted(of_providers - told)]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
