"""A terminal session as a picture: SVG with text in it, which appears line by line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

CHARACTER: Final = 8.4
"""The width of a character in a monospaced font of 14 pixels."""
LINE: Final = 19
EDGE: Final = 16
TYPED_S: Final = 1.2
"""From the end of what one command prints to the next command."""
ANSWER_S: Final = 0.7
"""From a command to what it prints."""
NEXT_LINE_S: Final = 0.04
STYLE: Final = """
    text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d8dee6; white-space: pre; }
    .command { fill: #ffffff; font-weight: bold; }
    .prompt { fill: #7fd1ae; }
    .line { animation: appear 0.01s linear both; }
    @keyframes appear { from { opacity: 0; } to { opacity: 1; } }
    @media (prefers-reduced-motion: reduce) { .line { animation: none; } }
"""


class Ran(NamedTuple):
    """A command, and the lines that it has printed."""

    command: str
    lines: Sequence[str]


def session_as_svg(session: Sequence[Ran], title: str) -> str:
    """The picture: as wide as its longest line, as high as all lines; whoever wants no movement sees it whole."""
    rows: list[tuple[float, str]] = []
    at_s = 0.5
    for ran in session:
        rows.append((at_s, f'<tspan class="prompt">$ </tspan><tspan class="command">{escape(ran.command)}</tspan>'))
        at_s += ANSWER_S
        for line in ran.lines:
            rows.append((at_s, escape(line)))
            at_s += NEXT_LINE_S
        rows.append((at_s, ""))
        at_s += TYPED_S
    rows.pop()
    columns = max(len(line) for ran in session for line in (f"$ {ran.command}", *ran.lines))
    width, height = round(2 * EDGE + columns * CHARACTER), 2 * EDGE + len(rows) * LINE
    texts = [
        f'  <text class="line" x="{EDGE}" y="{EDGE + 14 + number * LINE}" style="animation-delay: {from_s:.2f}s" '
        f'xml:space="preserve">{row}</text>'
        for number, (from_s, row) in enumerate(rows)
        if row
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
            f'  width="{width}" height="{height}">',
            f"  <title>{escape(title)}</title>",
            f"  <style>{STYLE}  </style>",
            f'  <rect width="{width}" height="{height}" rx="8" fill="#1c2128"/>',
            *texts,
            "</svg>",
            "",
        ]
    )
